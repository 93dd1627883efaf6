# Beta-binomial fits by glmmTMB, of data sets whose rows are counted by cells.  Run from this folder:
# Rscript beta_binomial_reference.R > beta_binomial_reference.json
source("reference_lib.R")

specs <- list(
  cbpp = list(file = "cbpp.csv", groups = "herd"),
  contraception = list(file = "contraception.csv", groups = "district"),
  guimmun = list(file = "guimmun.csv", groups = "comm"),
  salamanders = list(file = "salamanders.csv", groups = c("site", "spp"))
)
# Data set, the column that is counted, the columns of the cells (none where the rows have counts already), the formula
# in R's notation with its left-hand side left out, and in Python's.
models <- list(
  cbpp = list("cbpp", NULL, NULL, ~ period + (1 | herd), "p(successes, size) ~ period + (1 | herd)"),
  contraception = list("contraception", "use", c("district", "urban"), ~ urban + (1 | district),
    "p(successes, size) ~ urban + (1 | district)"),
  guimmun = list("guimmun", "immun", c("comm", "kid2p", "rural"), ~ kid2p + rural + (1 | comm),
    "p(successes, size) ~ kid2p + rural + (1 | comm)"),
  salamanders = list("salamanders", "present", c("site", "spp", "mined"), ~ mined + (1 | site) + (1 | spp),
    "p(successes, size) ~ mined + (1 | site) + (1 | spp)")
)
result <- list(glmmTMB = as.character(packageVersion("glmmTMB")), models = list())
control <- glmmTMBControl(optCtrl = list(rel.tol = 1e-15, x.tol = 1e-12, iter.max = 2000, eval.max = 2000))
for (name in names(models)) {
  m <- models[[name]]
  d <- load_ds(specs[[m[[1]]]])
  counts <- d
  if (!is.null(m[[2]])) {
    cells <- d[m[[3]]]
    counts <- aggregate(data.frame(successes = as.numeric(d[[m[[2]]]] == 1 | d[[m[[2]]]] == "Y"), size = 1), cells, sum)
  }
  formula <- as.formula(paste("cbind(successes, size - successes)", paste(deparse(m[[4]], 500), collapse = "")))
  fit <- suppressWarnings(glmmTMB(formula, counts, betabinomial, control = control))
  b <- fixef(fit)$cond
  variances <- diag(suppressWarnings(vcov(fit, full = TRUE)))
  result$models[[name]] <- list(
    data = m[[1]], counted = m[[2]], cells = m[[3]], python_formula = m[[5]],
    r_formula = paste(deparse(formula, 500), collapse = ""), rows = nrow(counts),
    logLik = as.numeric(logLik(fit)), df = attr(logLik(fit), "df"), AIC = AIC(fit),
    fixef = list(names = I(py_name(names(b), counts)), estimate = I(unname(b)), se = I(unname(sqrt(diag(vcov(fit)$cond))))),
    phi = sigma(fit), log_phi_se = sqrt(variances[["d~(Intercept)"]]),
    random = vc_blocks(VarCorr(fit)$cond, counts)
  )
}
cat(toJSON(result, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
