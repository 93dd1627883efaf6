# Cluster-robust covariance matrices: of logistic regressions by sandwich and clubSandwich, and of mixed models from
# numerical scores and information of lme4's deviance functions; writes robust_reference.json. A few minutes.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript robust_reference.R
suppressPackageStartupMessages({library(lme4); library(sandwich); library(clubSandwich); library(numDeriv)
                                library(jsonlite)})

read <- function(name) read.csv(file.path("../../hierlogit/datasets", paste0(name, ".csv")), stringsAsFactors = TRUE)
tight <- glm.control(epsilon = 1e-14, maxit = 50)

regression <- function(python_formula, data, formula, d, cluster) {
  fit <- glm(formula, binomial, d, control = tight)
  V <- unname(vcovCL(fit, d[[cluster]], type = "HC0", cadjust = TRUE))       # with J / (J - 1)
  other <- unname(as.matrix(vcovCR(fit, d[[cluster]], type = "CR1")))
  stopifnot(all.equal(V, other, check.attributes = FALSE, tolerance = 1e-8))
  list(formula = python_formula, data = data, cluster = cluster, nodes = 1, covariance = V)
}

control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12, calc.derivs = FALSE,
                        optCtrl = list(maxfun = 1e5, rhobeg = 0.02, rhoend = 1e-9))
lenient <- glmerControl(tolPwrss = 1e-12, nAGQ0initStep = FALSE, check.rankX = "ignore", check.nlev.gtr.1 = "ignore",
                        check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nlev.gtreq.5 = "ignore",
                        check.nobs.vs.rankZ = "ignore", check.scaleX = "ignore", check.response.not.const = "ignore")
# Of some rows, as a function of theta and the coefficients. These go into an offset, since a single cluster cannot tell
# all of them.
log_likelihood <- function(response, random, X, d, nodes) function(parameters) {
  beta <- tail(parameters, ncol(X))
  d$fixed <- as.vector(X %*% beta)
  formula <- as.formula(paste(response, "~ 0 + offset(fixed) +", random))
  deviance <- glmer(formula, d, binomial, nAGQ = nodes, control = lenient, devFunOnly = TRUE)
  -0.5 * deviance(head(parameters, length(parameters) - ncol(X)))
}
slopes <- function(f, at, step = 1e-4) sapply(seq_along(at), function(k) {
  moved <- function(by) f(replace(at, k, at[k] + by))
  (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step)
})

mixed <- function(python_formula, data, response, fixed, random, d, group, cluster, nodes) {
  X <- model.matrix(reformulate(fixed), d)
  fit <- glmer(as.formula(paste(response, "~", fixed, "+", random)), d, binomial, nAGQ = nodes, control = control)
  theta <- getME(fit, "theta")
  at <- c(theta, fixef(fit))
  information <- -hessian(log_likelihood(response, random, X, d, nodes), at)
  scores <- t(sapply(split(seq_len(nrow(d)), d[[cluster]], drop = TRUE), function(rows) {
    some <- d[rows, ]
    some[[group]] <- droplevels(some[[group]])
    slopes(log_likelihood(response, random, X[rows, , drop = FALSE], some, nodes), at)
  }))
  J <- nrow(scores)
  V <- solve(information) %*% crossprod(scores) %*% solve(information) * J / (J - 1)
  order <- c(length(theta) + seq_along(fixef(fit)), seq_along(theta))         # coefficients first
  list(formula = python_formula, data = data, cluster = cluster, nodes = nodes, estimates = unname(at[order]),
       clusters = J, largest_sum_of_scores = max(abs(colSums(scores))), covariance = unname(V[order, order]))
}

contraception <- read("contraception")
contraception$district <- factor(contraception$district)
contraception$region <- factor(as.integer(as.character(contraception$district)) %% 25)
contraception$urbanY <- as.numeric(contraception$urban == "Y")
cbpp <- read("cbpp")
cbpp$herd <- factor(cbpp$herd)
toenail <- read("toenail")
toenail$patientID <- factor(toenail$patientID)
counts <- "cbind(successes, size - successes)"
out <- list(made_by = paste("R", getRversion(), "lme4", packageVersion("lme4"), "sandwich", packageVersion("sandwich"),
                            "clubSandwich", packageVersion("clubSandwich")),
            models = list(
              regression("use ~ urban + livch", "contraception", use ~ urban + livch, contraception, "district"),
              regression("p(successes, size) ~ period", "cbpp", cbind(successes, size - successes) ~ period, cbpp, "herd"),
              mixed("use ~ urban + livch + (1 + urban | district)", "contraception", "use", "urban + livch",
                    "(1 + urbanY | district)", contraception, "district", "district", 1),
              mixed("use ~ urban + livch + (1 | district)", "contraception", "use", "urban + livch", "(1 | district)",
                    contraception, "district", "region", 1),
              mixed("p(successes, size) ~ period + (1 | herd)", "cbpp", counts, "period", "(1 | herd)", cbpp, "herd",
                    "herd", 25),
              mixed("outcome ~ treatment*time + (1 | patientID)", "toenail", "outcome", "treatment*time",
                    "(1 | patientID)", toenail, "patientID", "patientID", 25)))
write_json(out, "robust_reference.json", auto_unbox = TRUE, digits = I(10), pretty = FALSE, matrix = "rowmajor")
