# Fits of salamanders.csv, opinion.csv and crossbill.csv by glmer and glmmTMB.  Run from this folder:
#   Rscript sites_reference.R > sites_reference.json
source("reference_lib.R")

specs <- list(
  salamanders = list(file = "salamanders.csv", groups = c("site", "spp")),
  opinion = list(file = "opinion.csv", groups = "state",
                 levels = list(education = c("no high school", "high school", "some college", "college"))),
  crossbill = list(file = "crossbill.csv", groups = "site")
)
models <- list(
  salamanders_crossed = list("salamanders", present ~ mined + DOP + DOY + (1 | site) + (1 + mined | spp),
    "present ~ mined + DOP + DOY + (1 | site) + (1 + mined | spp)"),
  salamanders_overdispersed = list("salamanders", present ~ mined + (1 | site) + (1 | spp) + (1 | site:spp),
    "present ~ mined + (1 | site) + (1 | spp) + (1 | site:spp)"),
  opinion = list("opinion", support ~ sex + age + education + repvote + (1 | state),
    "support ~ sex + age + education + repvote + (1 | state)"),
  crossbill_crossed = list("crossbill",
    cbind(detections, visits - detections) ~ elevation + I(elevation^2) + forest + I(year - 2003) +
      (1 | site) + (1 | year),
    "p(detections, visits) ~ elevation + I(elevation ** 2) + forest + I(year - 2003) + (1 | site) + (1 | year)"),
  crossbill_trends = list("crossbill",
    cbind(detections, visits - detections) ~ elevation + I(elevation^2) + forest + I(year - 2003) +
      (1 + I(year - 2003) | site) + (1 | year),
    "p(detections, visits) ~ elevation + I(elevation ** 2) + forest + I(year - 2003) + (1 + I(year - 2003) | site) + (1 | year)")
)
control <- glmmTMBControl(optimizer = optim, optArgs = list(method = "BFGS"), optCtrl = list(reltol = 1e-15, maxit = 2000))
entry <- function(ll, b, se, vcs, d) list(
  logLik = as.numeric(ll), df = attr(ll, "df"), fixef = list(names = I(py_name(names(b), d)), estimate = I(unname(b)),
  se = I(unname(se))), random = vc_blocks(vcs, d))
result <- list(software = list(lme4 = as.character(packageVersion("lme4")),
                               glmmTMB = as.character(packageVersion("glmmTMB"))), models = list())
for (name in names(models)) {
  m <- models[[name]]
  d <- load_ds(specs[[m[[1]]]])
  # With 1e-10 the inner iterations of the crossbills stop early, and log-likelihoods are 1e-3 too low.
  by_lme4 <- glmer(m[[2]], d, binomial, control = CTRL(if (m[[1]] == "crossbill") 1e-14 else 1e-10))
  by_glmmTMB <- glmmTMB(m[[2]], d, binomial, control = control)
  result$models[[name]] <- list(
    data = m[[1]], python_formula = m[[3]], r_formula = paste(deparse(m[[2]], 500), collapse = ""),
    lme4 = entry(logLik(by_lme4), fixef(by_lme4), sqrt(diag(as.matrix(vcov(by_lme4)))), VarCorr(by_lme4), d),
    glmmTMB = entry(logLik(by_glmmTMB), fixef(by_glmmTMB)$cond, sqrt(diag(vcov(by_glmmTMB)$cond)),
                    VarCorr(by_glmmTMB)$cond, d)
  )
}
cat(toJSON(result, digits = 10, auto_unbox = TRUE, pretty = TRUE), "\n")
