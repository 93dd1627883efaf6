# Profile-likelihood intervals by lme4, for a comparison with this package's own.
# Run from this folder, beside the tables of the reference models: Rscript profile_reference.R > profile_reference.json
suppressMessages(library(lme4))
folder <- Sys.getenv("REFERENCE_DATA", "data")
read <- function(name) read.csv(file.path(folder, name))
intervals <- function(fit) {
  ends <- suppressWarnings(suppressMessages(confint(fit, method = "profile", oldNames = FALSE, quiet = TRUE)))
  rows <- sprintf('    "%s": [%.6f, %.6f]', rownames(ends), ends[, 1], ends[, 2])
  paste0("{\n", paste(rows, collapse = ",\n"), "\n  }")
}
tight <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10)
cbpp <- read("cbpp.csv")
contraception <- read("Contraception.csv")
contraception$age10 <- contraception$age / 10
fits <- list(
  cbpp_ri = glmer(cbind(successes, size - successes) ~ period + (1 | herd), cbpp, binomial, control = tight),
  contraception_ri10 = glmer(
    use ~ age10 + I(age10^2) + urban + livch + (1 | district), contraception, binomial, control = tight
  ),
  contraception_slope_short = glmer(
    use ~ urban + (1 + urban | district), contraception, binomial, control = tight
  )
)
cat("{\n", sprintf('  "lme4": "%s", "prob": 0.95,\n', packageVersion("lme4")), sep = "")
cat(paste(sprintf('  "%s": %s', names(fits), sapply(fits, intervals)), collapse = ",\n"), "\n}\n")
