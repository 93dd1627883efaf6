# Fits the reference models and writes reference.json.  Run from this folder, which reads ../../hierlogit/datasets:
#   Rscript fit_reference.R                     everything (about an hour, one core)
#   Rscript fit_reference.R fit [ids...]        only the maximum-likelihood fits
#   Rscript fit_reference.R agq|pb|bayes [ids]  quadrature series, bootstrap tests, rstanarm
#   Rscript fit_reference.R assemble            reference.json from the finished pieces
# Pieces are kept between calls when REF_CACHE names a folder.
source("reference_lib.R")

datasets <- list(
  contraception = list(file = "contraception.csv", groups = "district"),
  cbpp = list(file = "cbpp.csv", groups = c("herd", "obs")),
  verbagg = list(file = "verbagg.csv", groups = c("id"), levels = list(mode = c("want", "do"))),
  toenail = list(file = "toenail.csv", groups = "patientID"),
  guimmun = list(file = "guimmun.csv", groups = c("mom", "comm")),
  bacteria = list(file = "bacteria.csv", groups = "ID",
                  levels = list(trt = c("placebo", "drug", "drug+"), ap = c("placebo", "active"))),
  bdf = list(file = "bdf.csv", groups = "school"),
  medpar = list(file = "medpar.csv", groups = "provnum", text = "provnum",
                levels = list(type = c("elective", "urgent", "emergency")))
)

M <- function(data, rhs, resp, py_rhs = rhs, ...) {
  bin <- resp == "BIN"
  list(data = data, r = paste(if (bin) "cbind(successes, size - successes)" else resp, "~", rhs),
       py = paste(if (bin) "prop(successes, size)" else resp, "~", py_rhs), ...)
}
C <- function(rhs, ...) M("contraception", rhs, "use", gsub("\\^2", "**2", rhs), ...)
cov_c <- "age + I(age^2) + urban + livch"
cov_c01 <- "age + I(age^2) + urban01 + livch"
cov_g <- "kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81"
cov_b <- "I(IQ_verb - 12) + ses + sex + minority + mixedgra"
V <- function(rhs, ...) M("verbagg", rhs, "r2", gsub("\\^2", "**2", rhs), ...)

models <- list(
  contraception_null      = C("1 + (1|district)", agq = TRUE),
  contraception_ri        = C(paste(cov_c, "+ (1|district)"), agq = TRUE),
  contraception_ch        = C("age*ch + I(age^2) + urban + (1|district)", agq = TRUE),
  contraception_slope     = C(paste(cov_c, "+ (1 + urban|district)")),
  contraception_slope_uncorr = C(paste(cov_c01, "+ (1|district) + (0 + urban01|district)")),
  contraception_age_uncorr = C(paste(cov_c, "+ (1|district) + (0 + age|district)")),
  contraception_two_slopes = C(paste(cov_c01, "+ (1 + urban01 + age|district)")),
  contraception_nested    = C(paste(cov_c, "+ (1|district/urban)")),
  cbpp_null     = M("cbpp", "1 + (1|herd)", "BIN", agq = TRUE),
  cbpp_ri       = M("cbpp", "period + (1|herd)", "BIN", agq = TRUE),
  cbpp_olre     = M("cbpp", "period + (1|herd) + (1|obs)", "BIN"),
  cbpp_slope    = M("cbpp", "period_num + (1 + period_num|herd)", "BIN"),
  cbpp_slope_uncorr = M("cbpp", "period_num + (1|herd) + (0 + period_num|herd)", "BIN"),
  verbagg_null      = V("1 + (1|id) + (1|item)"),
  verbagg_crossed   = V("Anger + Gender + btype + situ + mode + (1|id) + (1|item)"),
  verbagg_crossed_inter = V("(Anger + Gender + btype + situ)^2 + (1|id) + (1|item)"),
  verbagg_person    = V("Anger + Gender + btype + situ + mode + (1|id)", agq = TRUE),
  verbagg_rasch     = V("0 + item + (1|id)", agq = TRUE),
  verbagg_slope     = V("Anger + Gender + btype + situ + mode + (1 + mode|id) + (1|item)"),
  verbagg_btype_slope = V("Anger + Gender + btype + situ + mode + (1 + btype|id) + (1|item)"),
  toenail_null  = M("toenail", "1 + (1|patientID)", "outcome", agq = TRUE),
  toenail_ri    = M("toenail", "treatment*time + (1|patientID)", "outcome", agq = TRUE),
  toenail_slope = M("toenail", "treatment*time + (1 + time|patientID)", "outcome"),
  toenail_slope_uncorr = M("toenail", "treatment*time + (1|patientID) + (0 + time|patientID)", "outcome"),
  guimmun_null   = M("guimmun", "1 + (1|comm/mom)", "immun"),
  guimmun_comm   = M("guimmun", paste(cov_g, "+ (1|comm)"), "immun", agq = TRUE),
  guimmun_mom    = M("guimmun", paste(cov_g, "+ (1|mom)"), "immun", agq = TRUE),
  guimmun_nested = M("guimmun", paste(cov_g, "+ (1|comm/mom)"), "immun"),
  guimmun_slope  = M("guimmun", paste(sub("kid2p", "kid2p01", cov_g), "+ (1 + kid2p01|comm)"), "immun"),
  bacteria_null  = M("bacteria", "1 + (1|ID)", "y", agq = TRUE),
  bacteria_ri    = M("bacteria", "trt + week_gt2 + (1|ID)", "y", agq = TRUE),
  bacteria_week  = M("bacteria", "ap*hilo + week + (1|ID)", "y", agq = TRUE),
  bacteria_slope = M("bacteria", "trt + week + (1 + week|ID)", "y"),
  bacteria_slope_uncorr = M("bacteria", "trt + week + (1|ID) + (0 + week|ID)", "y"),
  bdf_null       = M("bdf", "1 + (1|school)", "repeated", agq = TRUE),
  bdf_ri         = M("bdf", paste(cov_b, "+ (1|school)"), "repeated", agq = TRUE),
  bdf_slope      = M("bdf", paste(cov_b, "+ (1 + I(IQ_verb - 12)|school)"), "repeated"),
  medpar_null    = M("medpar", "1 + (1|provnum)", "died", agq = TRUE),
  medpar_ri      = M("medpar", "age80 + type + (1|provnum)", "died", agq = TRUE)
)

pb <- list(
  contraception_urban_slope = list(data = "contraception",
    r1 = paste("use ~", cov_c, "+ (1 + urban|district)"), r0 = paste("use ~", cov_c, "+ (1|district)"),
    py1 = paste("use ~", gsub("\\^2", "**2", cov_c), "+ (1 + urban|district)"), py0 = paste("use ~", gsub("\\^2", "**2", cov_c), "+ (1|district)"),
    df = 2, seed = 20240601, mix = function(x) mean(pchisq(x, 1:2, lower.tail = FALSE)), mixtext = "0.5 chisq(1) + 0.5 chisq(2)"),
  bacteria_intercept = list(data = "bacteria", r1 = "y ~ trt + week_gt2 + (1|ID)", r0 = "y ~ trt + week_gt2",
    py1 = "y ~ trt + week_gt2 + (1|ID)", py0 = "y ~ trt + week_gt2", df = 1, seed = 20240602,
    mix = function(x) 0.5 * pchisq(x, 1, lower.tail = FALSE), mixtext = "0.5 chisq(0) + 0.5 chisq(1)"),
  bacteria_week_slope = list(data = "bacteria", r1 = "y ~ trt + week + (1|ID) + (0 + week|ID)", r0 = "y ~ trt + week + (1|ID)",
    py1 = "y ~ trt + week + (1|ID) + (0 + week|ID)", py0 = "y ~ trt + week + (1|ID)", df = 1, seed = 20240604,
    mix = function(x) 0.5 * pchisq(x, 1, lower.tail = FALSE), mixtext = "0.5 chisq(0) + 0.5 chisq(1)"),
  cbpp_intercept = list(data = "cbpp", r1 = "cbind(successes, size - successes) ~ period + (1|herd)",
    r0 = "cbind(successes, size - successes) ~ period", py1 = "prop(successes, size) ~ period + (1|herd)",
    py0 = "prop(successes, size) ~ period", df = 1, seed = 20240603,
    mix = function(x) 0.5 * pchisq(x, 1, lower.tail = FALSE), mixtext = "0.5 chisq(0) + 0.5 chisq(1)")
)

bayes <- list(
  contraception_slope = list(data = "contraception", r = models$contraception_slope$r, py = models$contraception_slope$py, seed = 101),
  toenail_ri = list(data = "toenail", r = models$toenail_ri$r, py = models$toenail_ri$py, seed = 102),
  verbagg_crossed = list(data = "verbagg", r = models$verbagg_crossed$r, py = models$verbagg_crossed$py, seed = 103)
)

agq_series <- function(id, nodes = c(1, 5, 11, 25, 50, 100)) {
  m <- models[[id]]; d <- load_ds(datasets[[m$data]]); o <- list()
  for (q in nodes) {
    g <- capture(glmer(as.formula(m$r), data = d, family = binomial, nAGQ = q, control = CTRL()))
    f <- g$value
    o[[as.character(q)]] <- list(nAGQ = q, logLik = as.numeric(logLik(f)), sd = unname(attr(VarCorr(f)[[1]], "stddev")),
      fixef = setNames(as.list(unname(fixef(f))), py_name(names(fixef(f)), d)),
      se = I(unname(sqrt(diag(as.matrix(vcov(f)))))), loglik_trapezoid_check = exact_loglik(f),
      warnings = I(g$warnings), seconds = round(g$seconds, 3))
  }
  o
}

published <- list(
  cbpp_ri = list(source = "lme4 documentation and vignettes (glmer on cbpp, Laplace)", approximation = "Laplace",
    fixef = list(Intercept = -1.3983, "period[p2]" = -0.9919, "period[p3]" = -1.1282, "period[p4]" = -1.5797),
    sd = list(herd = 0.6421), logLik = -92.0, AIC = 194.1),
  guimmun_nested = list(source = "G. Rodriguez, course notes reproducing Rodriguez & Goldman (2001, JRSS A 164: 339-355): three-level maximum likelihood, 12-point Gauss-Hermite quadrature",
    approximation = "non-adaptive quadrature, 12 points per level", logLik = -1323.9618222914,
    fixef = list(Intercept = -1.233400, "kid2p[Y]" = 1.716657, "mom25p[Y]" = -0.215995, "ord[23]" = -0.260719, "ord[46]" = 0.179374,
      "ord[7p]" = 0.431083, "ethn[N]" = -0.172474, "ethn[S]" = -0.083649, "momEd[P]" = 0.433026, "momEd[S]" = 0.420005,
      "husEd[P]" = 0.539349, "husEd[S]" = 0.505110, "husEd[U]" = -0.007241, "momWork[Y]" = 0.390044, "rural[Y]" = -0.888257,
      pcInd81 = -1.149777),
    se = list(Intercept = 0.4832, "kid2p[Y]" = 0.2173, "mom25p[Y]" = 0.2316, "ord[23]" = 0.2319, "ord[46]" = 0.2945, "ord[7p]" = 0.3720,
      "ethn[N]" = 0.4894, "ethn[S]" = 0.3633, "momEd[P]" = 0.2224, "momEd[S]" = 0.4844, "husEd[P]" = 0.2323, "husEd[S]" = 0.4143,
      "husEd[U]" = 0.3569, "momWork[Y]" = 0.2027, "rural[Y]" = 0.3062, pcInd81 = 0.5004),
    log_sd = list(mom = 0.839785, comm = 0.024317)),
  note = "Published values are quoted to the digits printed there; checks should use the fitted values above."
)

ids_of <- function(all, want) if (length(want)) want else all
args <- commandArgs(TRUE); what <- if (length(args)) args[1] else "all"; want <- args[-1]
invisible(suppressMessages(glmer(cbind(incidence, size - incidence) ~ 1 + (1|herd), cbpp, binomial)))  # warm up
invisible(suppressWarnings(glmmTMB(cbind(incidence, size - incidence) ~ 1 + (1|herd), cbpp, binomial)))
R <- list()
piece0 <- piece
piece <- function(kind, id, fun) {
  if (what == "assemble" && !file.exists(file.path(cache_dir(), paste0(kind, "__", id, ".rds")))) { message("missing: ", kind, " ", id); return(NULL) }
  piece0(kind, id, fun)
}
if (what %in% c("all", "fit", "assemble"))
  for (i in ids_of(names(models), want)) R$models[[i]] <- piece("fit", i, function() run_model(i, models[[i]], datasets))
if (what %in% c("all", "agq", "assemble"))
  for (i in ids_of("toenail_ri", want)) R$agq_convergence[[i]] <- piece("agq", i, function() agq_series(i))
if (what %in% c("all", "pb", "assemble"))
  for (i in ids_of(names(pb), want)) R$parametric_bootstrap[[i]] <- piece("pb", i, function() pb_lrt(i, pb[[i]], datasets))
if (what %in% c("all", "bayes", "assemble"))
  for (i in ids_of(names(bayes), want)) R$bayes[[i]] <- piece("bayes", i, function() bayes_fit(i, bayes[[i]], datasets))
if (what %in% c("all", "assemble")) {
  R$models <- lapply(R$models, finish_model)
  if (file.exists("exact_ml.json")) R$exact_ml <- fromJSON("exact_ml.json", simplifyVector = FALSE)
  R$bayes <- sapply(names(R$bayes), function(i) { b <- R$bayes[[i]]; d <- load_ds(datasets[[bayes[[i]]$data]])
    nm <- grep("^Sigma", names(b$posterior), value = TRUE, invert = TRUE)
    b$python_names <- setNames(as.list(py_name(nm, d)), nm); b }, simplify = FALSE)
  ds <- lapply(datasets, function(s) { d <- load_ds(s); lv <- attr(d, "fixlevels")
    nd <- names(s$levels)
    list(file = s$file, rows = nrow(d), columns = I(names(d)), grouping_columns = I(s$groups),
         levels = named(lapply(lv, I)), levels_not_alphabetical = I(as.character(nd))) })
  out <- c(list(meta = list(software = versions(), date = format(Sys.Date()),
      settings = "glmer: bobyqa, maxfun 2e5, tolPwrss as recorded per fit (1e-10 unless PIRLS needed looser); glmmTMB: defaults",
      fields = "see README.md")), list(datasets = ds), R, list(published = published))
  write_json_file(out, "reference.json")
}
