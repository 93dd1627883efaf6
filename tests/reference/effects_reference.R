# Predictions, comparisons and slopes of a fit by lme4, computed by hand from its estimates; writes effects_reference.json.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript effects_reference.R
suppressPackageStartupMessages({library(lme4); library(jsonlite)})

d <- read.csv("../../hierlogit/datasets/contraception.csv", stringsAsFactors = TRUE)
d$district <- factor(d$district)
fit <- glmer(use ~ age + I(age^2) + urban + livch + (1 + urban | district), d, binomial)

beta <- fixef(fit)
L <- t(chol(VarCorr(fit)$district))           # Sigma = L L'
modes <- as.matrix(ranef(fit)$district)
X_of <- function(rows) model.matrix(~ age + I(age^2) + urban + livch, rows)
Z_of <- function(rows) cbind(1, as.numeric(rows$urban == "Y"))
spread <- function(Z) sqrt(rowSums((Z %*% L)^2))

# E expit(m + s V) by adaptive integration, once for each pair of numbers that occurs.
average <- function(m, s) {
  one <- function(m, s) if (s == 0) plogis(m) else
    integrate(function(v) plogis(m + s * v) * dnorm(v), -9, 9, rel.tol = 1e-11, abs.tol = 1e-13, subdivisions = 1000)$value
  mapply(one, m, s)
}
average_derivative <- function(m, s) {        # d/dm
  one <- function(m, s) integrate(function(v) dlogis(m + s * v) * dnorm(v), -9, 9, rel.tol = 1e-11, abs.tol = 1e-13,
                                  subdivisions = 1000)$value
  mapply(one, m, s)
}

predicted <- function(rows, clusters) {
  eta <- drop(X_of(rows) %*% beta); Z <- Z_of(rows)
  switch(clusters,
    typical = plogis(eta),
    observed = plogis(eta + rowSums(Z * modes[as.character(rows$district), ])),
    average = average(eta, spread(Z)))
}
# Age enters as age and age^2; it has no random slope.
slope_of_age <- function(rows, clusters) {
  eta <- drop(X_of(rows) %*% beta); Z <- Z_of(rows)
  rate <- beta["age"] + 2 * beta["I(age^2)"] * rows$age
  rate * switch(clusters,
    typical = dlogis(eta),
    observed = dlogis(eta + rowSums(Z * modes[as.character(rows$district), ])),
    average = average_derivative(eta, spread(Z)))
}
with_value <- function(name, value) { rows <- d; rows[[name]] <- if (is.factor(d[[name]]))
  factor(rep(value, nrow(d)), levels(d[[name]])) else value; rows }

kinds <- c("observed", "average", "typical")
of_kind <- function(clusters) {
  p <- predicted(d, clusters)
  high <- predicted(with_value("urban", "Y"), clusters); low <- predicted(with_value("urban", "N"), clusters)
  none <- predicted(with_value("livch", "0"), clusters)
  odds <- function(p) p / (1 - p)
  list(
    prediction = mean(p),
    prediction_by_livch = as.list(tapply(p, d$livch, mean)),
    prediction_of_rows = p[c(1, 500, 1934)],
    urban_difference = mean(high) - mean(low),
    urban_ratio = mean(high) / mean(low),
    urban_odds_ratio = odds(mean(high)) / odds(mean(low)),
    urban_difference_by_livch = as.list(tapply(high - low, d$livch, mean)),
    livch_difference = sapply(c("1", "2", "3+"), function(k) mean(predicted(with_value("livch", k), clusters)) - mean(none),
                              simplify = FALSE),
    age_plus_5 = mean(predicted(with_value("age", d$age + 5), clusters)) - mean(p),
    age_slope = mean(slope_of_age(d, clusters)),
    age_slope_by_urban = as.list(tapply(slope_of_age(d, clusters), d$urban, mean)),
    age_elasticity = mean(slope_of_age(d, clusters) * d$age / p)
  )
}
out <- list(
  made_by = paste("R", getRversion(), "lme4", packageVersion("lme4")),
  formula = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)",
  beta = unname(beta), root = unname(L), districts = as.integer(rownames(modes)), modes = unname(modes),
  effects = sapply(kinds, of_kind, simplify = FALSE)
)
write_json(out, "effects_reference.json", auto_unbox = TRUE, digits = 14, pretty = FALSE, matrix = "rowmajor")
