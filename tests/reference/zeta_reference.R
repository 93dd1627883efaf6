# Profile zeta, PCA of the random effects and fits by several optimizers, by lme4, for comparisons with this package's own.
# Run from this folder, beside the tables of the reference models: Rscript zeta_reference.R > zeta_reference.json
suppressMessages(library(lme4))
folder <- Sys.getenv("REFERENCE_DATA", "data")
read <- function(name) read.csv(file.path(folder, name))
numbers <- function(x) paste0("[", paste(sprintf("%.8f", x), collapse = ", "), "]")
tight <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10)
contraception <- read("Contraception.csv")
slope <- glmer(use ~ urban + (1 + urban | district), contraception, binomial, control = tight)
zeta <- as.data.frame(suppressWarnings(profile(slope, signames = FALSE)))
profiles <- sapply(split(zeta, zeta$.par, drop = TRUE), function(one) {
  keep <- one[is.finite(one$.zeta) & abs(one$.zeta) < 2.7, ]
  sprintf('    "%s": {"value": %s, "zeta": %s}', keep$.par[1], numbers(keep$.focal), numbers(keep$.zeta))
})
contraception$age10 <- contraception$age / 10
three <- suppressWarnings(suppressMessages(glmer(
  use ~ urban + age10 + (1 + urban + age10 | district), contraception, binomial, control = tight
)))
pca <- function(fit, name) {
  one <- rePCA(fit)[[1]]
  sprintf(
    '    "%s": {"theta": %s, "sdev": %s, "rotation": %s, "singular": %s}', name, numbers(getME(fit, "theta")),
    numbers(one$sdev), numbers(one$rotation), tolower(isSingular(fit))
  )
}
# As allFit, with the optimizers that lme4 itself brings.
optimizers <- c("bobyqa", "Nelder_Mead", "nlminbwrap", "nloptwrap")
found <- sapply(optimizers, function(name) {
  control <- glmerControl(optimizer = name, tolPwrss = 1e-10)
  suppressWarnings(suppressMessages(logLik(update(slope, control = control))))
})
likelihoods <- sprintf('    "%s": %.8f', optimizers, found)
cat("{\n", sprintf('  "lme4": "%s",\n', packageVersion("lme4")), sep = "")
cat('  "zeta": {\n', paste(profiles, collapse = ",\n"), "\n  },\n", sep = "")
cat('  "pca": {\n', paste(c(pca(slope, "contraception_slope_short"), pca(three, "contraception_three")), collapse = ",\n"),
  "\n  },\n", sep = "")
cat('  "all_fit": {\n', paste(likelihoods, collapse = ",\n"), "\n  }\n}\n", sep = "")
