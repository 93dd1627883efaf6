# Expected ranks by merTools from fits by lme4; writes expected_rank_reference.json. A few seconds.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript expected_rank_reference.R
suppressPackageStartupMessages({library(lme4); library(merTools); library(jsonlite)})

control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-11, optCtrl = list(maxfun = 1e5, rhoend = 1e-8))

ranked <- function(formula, d, group) {
  fit <- glmer(formula, d, binomial, control = control)
  ranks <- expectedRank(fit, groupFctr = group, term = "Intercept")
  # What expectedRank calls std.error is a variance. It rounds its percentiles to whole numbers.
  list(clusters = ranks$groupLevel, mode = ranks$estimate, variance = ranks$std.error, expected_rank = ranks$ER,
       percentile = ranks$pctER)
}

d <- read.csv("../../hierlogit/datasets/contraception.csv", stringsAsFactors = TRUE)
d$district <- factor(d$district)
contraception <- ranked(use ~ age + urban + (1 | district), d, "district")
h <- read.csv("../../hierlogit/datasets/cbpp.csv", stringsAsFactors = TRUE)
h$herd <- factor(h$herd)
cbpp <- ranked(cbind(successes, size - successes) ~ period + (1 | herd), h, "herd")

out <- list(made_by = paste("R", getRversion(), "lme4", packageVersion("lme4"), "merTools", packageVersion("merTools")),
            contraception = c(formula = "use ~ age + urban + (1 | district)", contraception),
            cbpp = c(formula = "p(successes, size) ~ period + (1 | herd)", cbpp))
write_json(out, "expected_rank_reference.json", auto_unbox = TRUE, digits = 9)
