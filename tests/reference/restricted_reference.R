# Restricted likelihood by glmmTMB(REML = TRUE): the fixed effects integrated out by Laplace's method, like the random
# effects.  Run from this folder: Rscript restricted_reference.R > restricted_reference.json
source("reference_lib.R")

specs <- list(
  cbpp = list(file = "cbpp.csv", groups = "herd"),
  bacteria = list(file = "bacteria.csv", groups = "ID", levels = list(trt = c("placebo", "drug", "drug+"))),
  contraception = list(file = "contraception.csv", groups = "district"),
  guimmun = list(file = "guimmun.csv", groups = c("comm", "mom")),
  toenail = list(file = "toenail.csv", groups = "patientID"),
  verbagg = list(file = "verbagg.csv", groups = c("id", "item"))
)
models <- list(
  cbpp_intercept = list("cbpp", cbind(successes, size - successes) ~ period + (1 | herd),
    "p(successes, size) ~ period + (1 | herd)"),
  cbpp_few = list("cbpp", cbind(successes, size - successes) ~ period_num + (1 + period_num | herd),
    "p(successes, size) ~ period_num + (1 + period_num | herd)"),
  bacteria = list("bacteria", y ~ trt + week_gt2 + (1 | ID), "y ~ trt + week_gt2 + (1 | ID)"),
  contraception_slope = list("contraception", use ~ urban + livch + (1 + urban | district),
    "use ~ urban + livch + (1 + urban | district)"),
  guimmun = list("guimmun", immun ~ kid2p + rural + (1 | comm), "immun ~ kid2p + rural + (1 | comm)"),
  toenail = list("toenail", outcome ~ treatment * time + (1 | patientID),
    "outcome ~ treatment * time + (1 | patientID)"),
  verbagg_crossed = list("verbagg", r2 ~ Anger + Gender + btype + (1 | id) + (1 | item),
    "r2 ~ Anger + Gender + btype + (1 | id) + (1 | item)")
)
result <- list(glmmTMB = as.character(packageVersion("glmmTMB")), models = list())
control <- glmmTMBControl(optimizer = optim, optArgs = list(method = "BFGS"), optCtrl = list(reltol = 1e-15, maxit = 2000))
for (name in names(models)) {
  m <- models[[name]]
  d <- load_ds(specs[[m[[1]]]])
  fit <- suppressWarnings(glmmTMB(m[[2]], d, binomial, REML = TRUE, control = control))
  b <- fixef(fit)$cond
  result$models[[name]] <- list(
    data = m[[1]], python_formula = m[[3]], r_formula = paste(deparse(m[[2]], 500), collapse = ""),
    logLik = as.numeric(logLik(fit)), df = attr(logLik(fit), "df"), AIC = AIC(fit),
    fixef = list(names = I(py_name(names(b), d)), estimate = I(unname(b)), se = I(unname(sqrt(diag(vcov(fit)$cond))))),
    random = vc_blocks(VarCorr(fit)$cond, d)
  )
}
cat(toJSON(result, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
