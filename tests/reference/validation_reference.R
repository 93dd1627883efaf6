# Districts of contraception left out in turn by lme4, their recalibration by glm, and meta-analyses by metafor; writes
# validation_reference.json. About two minutes.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript validation_reference.R
suppressPackageStartupMessages({library(lme4); library(metafor); library(jsonlite)})

control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-11, calc.derivs = FALSE,
                        optCtrl = list(maxfun = 1e5, rhobeg = 0.02, rhoend = 1e-8))
d <- read.csv("../../hierlogit/datasets/contraception.csv", stringsAsFactors = TRUE)
d$use <- as.integer(d$use == "Y" | d$use == 1)
d$district <- factor(d$district)
d$decades <- d$age / 10                       # a unit that suits the search
whole <- glmer(use ~ decades + urban + (1 | district), d, binomial, control = control)
start <- list(theta = getME(whole, "theta"), fixef = fixef(whole))

marginal <- function(eta, s) sapply(eta, function(m)
  integrate(function(v) plogis(m + s * v) * dnorm(v), -Inf, Inf, rel.tol = 1e-10)$value)
d$p <- NA
for (label in levels(d$district)) {
  out <- d$district == label
  fit <- glmer(use ~ decades + urban + (1 | district), d[!out, ], binomial, control = control, start = start)
  eta <- predict(fit, d[out, ], re.form = NA)
  d$p[out] <- marginal(eta, getME(fit, "theta"))
}
d$lp <- qlogis(d$p)

auc <- function(y, p) mean(outer(p[y == 1], p[y == 0], function(a, b) (a > b) + (a == b) / 2))
delong <- function(y, p) {
  v <- outer(p[y == 1], p[y == 0], function(a, b) (a > b) + (a == b) / 2)
  sqrt(var(rowMeans(v)) / nrow(v) + var(colMeans(v)) / ncol(v))
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)
measures <- function(one) {
  y <- one$use; both <- any(y == 1) && any(y == 0)
  separated <- both && (max(one$p[y == 0]) < min(one$p[y == 1]) || max(one$p[y == 1]) < min(one$p[y == 0]))
  a <- if (both) summary(glm(use ~ 1 + offset(lp), binomial, one, control = tight))$coefficients[1, 1:2] else c(NA, NA)
  b <- if (both && !separated && length(unique(one$p)) > 1)
    summary(glm(use ~ lp, binomial, one, control = tight))$coefficients[2, 1:2] else c(NA, NA)
  c(rows = nrow(one), events = sum(y), expected = sum(one$p), intercept = a[[1]], intercept_se = a[[2]],
    slope = b[[1]], slope_se = b[[2]], auc = if (both) auc(y, one$p) else NA,
    auc_se = if (min(sum(y == 1), sum(y == 0)) > 1) delong(y, one$p) else NA, brier = mean((y - one$p)^2))
}
districts <- as.data.frame(t(sapply(split(d, d$district), measures)))

pooled <- function(y, se) {
  kept <- is.finite(y) & is.finite(se) & se > 0
  fit <- rma(y[kept], sei = se[kept], method = "REML", test = "knha", control = list(threshold = 1e-12, maxiter = 1000))
  half <- qt(0.975, fit$k - 2) * sqrt(fit$tau2 + fit$se^2)
  list(k = fit$k, mean = fit$b[[1]], se = fit$se, tau = sqrt(fit$tau2), i2 = fit$I2 / 100, low = fit$ci.lb, high = fit$ci.ub,
       new_low = fit$b[[1]] - half, new_high = fit$b[[1]] + half)
}
one_stage <- function(formula, position) {
  fit <- glmer(formula, d, binomial, control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-11))
  list(mean = fixef(fit)[[position]], se = sqrt(vcov(fit)[position, position]),
       tau = attr(VarCorr(fit)$district, "stddev")[[position]])
}
intercept <- one_stage(use ~ 1 + offset(lp) + (1 | district), 1)
slope <- one_stage(use ~ lp + (1 + lp | district), 2)
# AUCs with the variances of placements within all districts together.
sums <- c(0, 0, 0, 0)
for (one in split(d, d$district)) if (length(unique(one$use)) > 1) {
  v <- outer(one$p[one$use == 1], one$p[one$use == 0], function(a, b) (a > b) + (a == b) / 2)
  sums <- sums + c(sum((rowMeans(v) - mean(v))^2), nrow(v) - 1, sum((colMeans(v) - mean(v))^2), ncol(v) - 1)
}
se <- with(districts, sqrt(sums[1] / sums[2] / events + sums[3] / sums[4] / (rows - events)))
centre <- pooled(districts$auc, se)$mean
kept <- !is.na(districts$auc) & districts$auc > 0 & districts$auc < 1
area <- pooled(qlogis(districts$auc[kept]), se[kept] / (centre * (1 - centre)))
examples <- list(heterogeneous = list(y = c(0.1, 0.9, -0.4, 1.6, 0.3, 0.7), se = c(0.2, 0.3, 0.15, 0.4, 0.1, 0.25)),
                 homogeneous = list(y = c(0.50, 0.52, 0.49, 0.51), se = c(0.2, 0.3, 0.15, 0.4)),
                 three = list(y = c(-1, 0, 2), se = c(0.1, 0.5, 1)))
examples <- lapply(examples, function(one) c(one, pooled = list(pooled(one$y, one$se))))
write_json(list(versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4")),
                                metafor = as.character(packageVersion("metafor"))),
                formula = "use ~ age + urban + (1 | district)", clusters = levels(d$district), districts = districts,
                probability = d$p, pooled = list(calibration_slope = slope, calibration_intercept = intercept, auc = area),
                examples = examples),
           "validation_reference.json", digits = 12, auto_unbox = TRUE, dataframe = "columns", na = "null")
