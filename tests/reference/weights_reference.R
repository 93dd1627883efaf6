# Logistic regression of a sample with weights by the survey package, for tests/agreement/test_sampling_weights.py.
#   Rscript tests/reference/weights_reference.R > tests/reference/weights_reference.json
suppressPackageStartupMessages({
  library(survey)
  library(jsonlite)
})
set.seed(1)
n <- 120
x <- round(rnorm(n), 3)
f <- sample(c("a", "b", "c"), n, replace = TRUE)
y <- rbinom(n, 1, plogis(-0.4 + 0.8 * x + (f == "b")))
w <- round(exp(rnorm(n, 3 - 0.4 * y, 0.5)), 2)
rows <- data.frame(y, x, f, w)
design <- svydesign(ids = ~1, weights = ~w, data = rows)
fit <- svyglm(y ~ x + f, design, family = quasibinomial(), epsilon = 1e-14, maxit = 100)
result <- list(
  versions = list(R = R.version.string, survey = as.character(packageVersion("survey"))),
  rows = rows,
  coef = unname(coef(fit)),
  se = unname(SE(fit)),
  mean = weighted.mean(fitted(fit), w)
)
cat(toJSON(result, dataframe = "columns", digits = NA, auto_unbox = TRUE), "\n")
