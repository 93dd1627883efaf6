"""Multiple imputation: one model fitted to several imputed tables, and the fits combined."""
