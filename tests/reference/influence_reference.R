# Fits by lme4 without each cluster in turn; writes influence_reference.json. About a minute.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript influence_reference.R
suppressPackageStartupMessages({library(lme4); library(jsonlite)})

# Far below lme4's own tolerances: what is compared are small differences of fits.
control <- function(derivatives) glmerControl(optimizer = "bobyqa", tolPwrss = 1e-11, calc.derivs = derivatives,
                                              optCtrl = list(maxfun = 1e5, rhobeg = 0.02, rhoend = 1e-8))

spread <- function(fit) {                     # sds, then correlations
  blocks <- lapply(VarCorr(fit), function(V) { R <- attr(V, "correlation"); c(attr(V, "stddev"), R[lower.tri(R)]) })
  unname(unlist(blocks))
}
without_each <- function(formula, d, group, scale) {
  # Coefficients are in units that suit the search; `scale` brings them back to those of the columns.
  whole <- glmer(formula, d, binomial, control = control(TRUE))   # standard errors from the curvature
  start <- list(theta = getME(whole, "theta"), fixef = fixef(whole))
  V <- vcov(whole)
  labels <- levels(d[[group]])
  one <- function(label) {
    fit <- glmer(formula, d[d[[group]] != label, ], binomial, control = control(FALSE), start = start)
    change <- fixef(whole) - fixef(fit)
    list(beta = unname(fixef(fit) / scale), spread = spread(fit), log_likelihood = as.numeric(logLik(fit)),
         cooks_distance = as.numeric(t(change) %*% solve(V, change)) / length(change))
  }
  fits <- lapply(labels, one)
  list(clusters = labels, beta = unname(fixef(whole) / scale), se = unname(sqrt(diag(V)) / scale), spread = spread(whole),
       log_likelihood = as.numeric(logLik(whole)),
       without = list(beta = t(sapply(fits, `[[`, "beta")), spread = t(sapply(fits, function(f) f$spread)),
                      log_likelihood = sapply(fits, `[[`, "log_likelihood"),
                      cooks_distance = sapply(fits, `[[`, "cooks_distance")))
}

d <- read.csv("../../hierlogit/datasets/contraception.csv", stringsAsFactors = TRUE)
d$district <- factor(d$district)
d$decades <- d$age / 10
contraception <- without_each(use ~ decades + I(decades^2) + urban + livch + (1 + urban | district), d, "district",
                              c(1, 10, 100, 1, 1, 1, 1))
h <- read.csv("../../hierlogit/datasets/cbpp.csv", stringsAsFactors = TRUE)
h$herd <- factor(h$herd)
cbpp <- without_each(cbind(successes, size - successes) ~ period + (1 | herd), h, "herd", rep(1, 4))
cbpp$without$spread <- as.vector(cbpp$without$spread)

out <- list(made_by = paste("R", getRversion(), "lme4", packageVersion("lme4")),
            contraception = c(formula = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)", contraception),
            cbpp = c(formula = "p(successes, size) ~ period + (1 | herd)", cbpp))
write_json(out, "influence_reference.json", auto_unbox = TRUE, digits = 9, pretty = FALSE, matrix = "rowmajor")
