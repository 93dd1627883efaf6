# Helper functions of fit_reference.R.
suppressPackageStartupMessages({
  library(lme4); library(glmmTMB); library(jsonlite)
})

DATA <- file.path("..", "..", "hierlogit", "datasets")

CTRL <- function(tol = 1e-10, derivs = TRUE)
  glmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 2e5), tolPwrss = tol, calc.derivs = derivs)

radix <- function(x) if (is.numeric(x)) sort(unique(x)) else sort(unique(as.character(x)), method = "radix")

# One data set: text columns become factors with levels in C-locale sorted order (what pandas
# and formulae use for plain string columns), unless `levels` says otherwise. `text` names columns of
# digits that are identifiers, whose leading zeros count.
load_ds <- function(spec) {
  d <- read.csv(file.path(DATA, spec$file), stringsAsFactors = FALSE, na.strings = character(0),
                colClasses = setNames(rep("character", length(spec$text)), spec$text))
  lev <- list()
  for (v in names(d)) {
    if (v %in% spec$groups) { d[[v]] <- factor(d[[v]], levels = radix(d[[v]])); next }
    if (is.character(d[[v]])) {
      l <- if (!is.null(spec$levels[[v]])) spec$levels[[v]] else radix(d[[v]])
      d[[v]] <- factor(d[[v]], levels = l); lev[[v]] <- l
    }
  }
  attr(d, "fixlevels") <- lev
  d
}

capture <- function(expr) {
  w <- character(); m <- character()
  t0 <- proc.time()[["elapsed"]]
  v <- tryCatch(withCallingHandlers(expr,
        warning = function(e) { w <<- c(w, conditionMessage(e)); invokeRestart("muffleWarning") },
        message = function(e) { m <<- c(m, trimws(conditionMessage(e))); invokeRestart("muffleMessage") }),
      error = function(e) e)
  list(value = v, seconds = proc.time()[["elapsed"]] - t0, warnings = unique(w), messages = unique(m))
}

py_name <- function(nm, d) {
  one <- function(p) {
    if (p == "(Intercept)") return("Intercept")
    if (grepl("^I\\(", p)) return(gsub("\\^", " ** ", p))
    for (v in names(d)) if (is.factor(d[[v]]) && startsWith(p, v)) {
      r <- substring(p, nchar(v) + 1)
      if (r %in% levels(d[[v]])) return(paste0(v, "[", r, "]"))
    }
    p
  }
  unname(vapply(nm, function(s) paste(vapply(strsplit(s, ":", fixed = TRUE)[[1]], one, ""), collapse = ":"), ""))
}

num <- function(x) as.list(setNames(as.numeric(x), names(x)))
mat <- function(m) unname(as.matrix(m))

vc_blocks <- function(vcs, d) {
  out <- list()
  for (k in seq_along(vcs)) {
    v <- vcs[[k]]; sd <- attr(v, "stddev"); co <- attr(v, "correlation")
    g <- sub("\\.[0-9]+$", "", names(vcs)[k])
    b <- list(group = g, terms = I(names(sd)), terms_python = I(py_name(names(sd), d)),
              sd = I(unname(as.numeric(sd))))
    if (length(sd) > 1) b$corr <- mat(co)
    out[[k]] <- b
  }
  out
}

ranef_ends <- function(re, d, n = 3) {
  out <- list()
  for (g in unique(as.character(re$grpvar))) {
    x <- re[as.character(re$grpvar) == g, ]
    grp <- as.character(x$grp); lv <- unique(grp)
    pick <- if (length(lv) <= 2 * n) lv else c(head(lv, n), tail(lv, n))
    terms <- list()
    for (t in unique(as.character(x$term))) {
      y <- x[as.character(x$term) == t, ]; i <- match(pick, as.character(y$grp))
      terms[[t]] <- list(mode = I(y$condval[i]), sd = I(y$condsd[i]))
    }
    names(terms) <- py_name(names(terms), d)
    out[[g]] <- list(n_levels = length(lv), levels = I(pick), terms = terms,
                     sum_of_squares = num(tapply(x$condval^2, factor(py_name(as.character(x$term), d)), sum)))
  }
  out
}

fit_block <- function(beta, se, V, re, d, ll, seconds, cap, extra = list()) {
  fx <- list(); nm <- py_name(names(beta), d)
  for (i in seq_along(beta)) fx[[nm[i]]] <- list(estimate = unname(beta[i]), se = unname(se[i]))
  df <- attr(ll, "df"); n <- attr(ll, "nobs")
  c(list(logLik = as.numeric(ll), minus2logLik = -2 * as.numeric(ll), df = df,
         AIC = -2 * as.numeric(ll) + 2 * df, BIC = -2 * as.numeric(ll) + log(n) * df,
         fixef = fx, random = V, ranef = re), extra,
    list(warnings = I(cap$warnings), messages = I(cap$messages), seconds = round(seconds, 3)))
}

lme4_block <- function(cap, d, ll_shift = 0, full = TRUE) {
  f <- cap$value
  if (inherits(f, "error")) return(list(error = conditionMessage(f), seconds = round(cap$seconds, 3)))
  ll <- logLik(f); ll <- structure(as.numeric(ll) + ll_shift, df = attr(ll, "df"), nobs = nobs(f))
  V <- suppressWarnings(tryCatch(vcov(f), error = function(e) vcov(f, use.hessian = FALSE)))
  Vrx <- suppressWarnings(vcov(f, use.hessian = FALSE))
  cm <- c(f@optinfo$conv$lme4$messages, f@optinfo$message)
  b <- fit_block(fixef(f), sqrt(diag(as.matrix(V))), vc_blocks(VarCorr(f), d),
                 ranef_ends(as.data.frame(ranef(f, condVar = TRUE)), d), d, ll, cap$seconds, cap,
                 list(deviance_conditional = deviance(f), singular = isSingular(f),
                      se_given_theta = I(unname(sqrt(diag(as.matrix(Vrx))))),
                      optimizer_warning_codes = I(as.character(f@optinfo$warnings))))
  b$convergence_messages <- I(as.character(f@optinfo$conv$lme4$messages))
  b
}

tmb_block <- function(cap, d) {
  f <- cap$value
  if (inherits(f, "error")) return(list(error = conditionMessage(f), seconds = round(cap$seconds, 3)))
  ll <- logLik(f)
  ll <- structure(as.numeric(ll), df = attr(ll, "df"), nobs = nobs(f))
  vcs <- VarCorr(f)$cond
  re <- tryCatch(ranef_ends(subset(as.data.frame(ranef(f, condVar = TRUE)), component == "cond"), d),
                 error = function(e) list(error = conditionMessage(e)))
  fit_block(fixef(f)$cond, sqrt(diag(vcov(f)$cond)), vc_blocks(vcs, d), re, d, ll, cap$seconds, cap,
            list(convergence_code = f$fit$convergence, pd_hessian = f$sdr$pdHess))
}

# Log-likelihood of a scalar random-intercept model by the trapezoid rule (801 nodes over
# mode +- 12 conditional SDs in every cluster): independent of lme4's quadrature code.
exact_loglik <- function(f) {
  X <- getME(f, "X"); eta0 <- drop(X %*% fixef(f)); g <- getME(f, "flist")[[1]]
  s <- as.numeric(attr(VarCorr(f)[[1]], "stddev"))
  m <- weights(f); y <- getME(f, "y") * m
  const <- sum(lchoose(m, y)); tot <- 0
  for (i in split(seq_along(eta0), g)) {
    e <- eta0[i]; yy <- y[i]; mm <- m[i]; u <- 0
    for (k in 1:100) {
      p <- plogis(e + s * u); gr <- sum(s * (yy - mm * p)) - u; h <- sum(s^2 * mm * p * (1 - p)) + 1
      st <- gr / h; u <- u + max(-2, min(2, st)); if (abs(st) < 1e-12) break
    }
    gd <- u + seq(-12, 12, length.out = 801) / sqrt(h)
    E <- outer(e, s * gd, "+")
    l <- colSums(yy * E - mm * (pmax(E, 0) + log1p(exp(-abs(E))))) + dnorm(gd, log = TRUE)
    mx <- max(l); tot <- tot + mx + log(sum(exp(l - mx)) * (gd[2] - gd[1]))
  }
  tot + const
}

r2_block <- function(f) {
  suppressWarnings(suppressMessages({
    v <- tryCatch(insight::get_variance(f), error = function(e) NULL)
    i <- tryCatch(performance::icc(f), error = function(e) NULL)
    r <- tryCatch(performance::r2_nakagawa(f), error = function(e) NULL)
  }))
  g <- function(x, n) if (is.null(x) || all(is.na(x)) || is.null(x[[n]]) || length(x[[n]]) == 0) NA else as.numeric(x[[n]])[1]
  list(icc_adjusted = g(i, "ICC_adjusted"), icc_unadjusted = g(i, "ICC_unadjusted"),
       r2_marginal = g(r, "R2_marginal"), r2_conditional = g(r, "R2_conditional"),
       var_fixed = g(v, "var.fixed"), var_random = g(v, "var.random"), var_residual = g(v, "var.residual"))
}

maxrel <- function(a, b) {
  nm <- intersect(names(a), names(b))
  x <- vapply(nm, function(n) a[[n]]$estimate, 0); y <- vapply(nm, function(n) b[[n]]$estimate, 0)
  s <- vapply(nm, function(n) a[[n]]$se, 0)
  max(abs(x - y) / s)
}

# glmer's bobyqa works in the raw units of the coefficients and can stop early when predictors
# are badly scaled (age^2).  So each fit is continued from its estimates with bobyqa in units of
# the standard errors, and the better of the two is kept (`first_fit` records the plain one).
scaled_bobyqa <- function(fn, par, lower, upper, control) {
  p0 <- par; sc <- control$scale
  lo <- (lower - p0) / sc; up <- (upper - p0) / sc; z <- rep(0, length(par))
  for (rho in c(0.3, 0.03)) {
    o <- minqa::bobyqa(z, function(z) fn(p0 + sc * z), lower = lo, upper = up,
                       control = list(rhobeg = rho, rhoend = 2e-6, maxfun = 2e5))
    z <- o$par
  }
  list(par = p0 + sc * z, fval = o$fval, conv = 0, message = "bobyqa in standard-error units")
}

polish <- function(cap, fo, d, nAGQ, tol, derivs) {
  f <- cap$value
  if (inherits(f, "error")) return(cap)
  first <- as.numeric(logLik(f)); t0 <- proc.time()[["elapsed"]]
  se <- suppressWarnings(sqrt(diag(as.matrix(vcov(f, use.hessian = FALSE)))))
  th <- getME(f, "theta"); sc <- c(pmax(0.1 * abs(th), 0.02), se)
  ctl <- glmerControl(optimizer = scaled_bobyqa, tolPwrss = tol, calc.derivs = derivs, optCtrl = list(scale = sc))
  # stage 0 (fixed effects profiled out by PIRLS) is skipped: it would discard the start values
  ctl$nAGQ0initStep <- FALSE
  g <- capture(glmer(fo, data = d, family = binomial, nAGQ = nAGQ, control = ctl,
                     start = list(theta = th, fixef = unname(fixef(f)))))
  ff <- list(logLik = first, warnings = I(cap$warnings), messages = I(cap$messages))
  if (inherits(g$value, "error")) { ff$continuation <- conditionMessage(g$value); best <- cap }
  else { ff$continuation_gain <- as.numeric(logLik(g$value)) - first; best <- if (ff$continuation_gain >= -1e-9) g else cap }
  ff$continuation_seconds <- round(proc.time()[["elapsed"]] - t0, 3)
  list(value = best$value, seconds = cap$seconds, warnings = best$warnings, messages = best$messages, first_fit = ff)
}

sd_by_name <- function(blocks) {
  x <- unlist(lapply(blocks, function(z) setNames(as.numeric(z$sd), paste(z$group, z$terms))))
  x[order(names(x))]
}

run_model <- function(id, m, dss, big = FALSE) {
  d <- load_ds(dss[[m$data]])
  fo <- as.formula(m$r); env <- new.env(parent = globalenv()); environment(fo) <- env
  bin <- grepl("cbind", m$r)
  tol <- if (is.null(m$tol)) 1e-10 else m$tol
  derivs <- if (is.null(m$derivs)) TRUE else m$derivs
  message(format(Sys.time(), "%H:%M:%S "), id)
  g1 <- NULL; gt <- NULL
  if (isTRUE(m$warm)) {                      # slow in glmer: start from glmmTMB's estimates (scalar terms only)
    gt <- capture(glmmTMB(fo, data = d, family = binomial))
    th <- sapply(VarCorr(gt$value)$cond, function(v) attr(v, "stddev"))
    names(th) <- names(VarCorr(gt$value)$cond)
    th <- unname(th[names(glFormula(fo, data = d, family = binomial)$reTrms$cnms)])
    ctl <- glmerControl(optimizer = scaled_bobyqa, tolPwrss = tol, calc.derivs = derivs,
                        optCtrl = list(scale = c(pmax(0.1 * th, 0.02), sqrt(diag(vcov(gt$value)$cond)))))
    ctl$nAGQ0initStep <- FALSE
    g1 <- capture(glmer(fo, data = d, family = binomial, nAGQ = 1, control = ctl,
                        start = list(theta = th, fixef = unname(fixef(gt$value)$cond))))
  } else for (tt in unique(c(tol, 1e-8, 1e-7))) {
    g1 <- capture(glmer(fo, data = d, family = binomial, nAGQ = 1, control = CTRL(tt, derivs)))
    if (!inherits(g1$value, "error")) { tol <- tt; break }
  }
  pol <- !isFALSE(m$polish) && !isTRUE(m$warm)
  if (pol) g1 <- polish(g1, fo, d, 1, tol, derivs)
  f <- g1$value
  res <- list(data = dss[[m$data]]$file, r_formula = m$r, python_formula = m$py,
              family = if (bin) "binomial" else "bernoulli", notes = m$notes)
  if (!inherits(f, "error")) {
    X <- getME(f, "X")
    res$n_obs <- nobs(f); res$n_trials <- sum(weights(f))
    res$n_successes <- sum(getME(f, "y") * weights(f))
    res$n_groups <- as.list(ngrps(f))
    res$fixed_names <- list(r = I(colnames(X)), python = I(py_name(colnames(X), d)))
    res$design_check <- list(column_sums = I(unname(colSums(X))), column_sums_of_squares = I(unname(colSums(X^2))))
  }
  res$lme4_laplace <- c(lme4_block(g1, d), list(tolPwrss = tol, first_fit = g1$first_fit))
  if (isTRUE(m$warm)) res$lme4_laplace$note <- "started from glmmTMB's estimates: `seconds` is not that of a plain call"
  if (!derivs) res$lme4_laplace$note <- paste(c(res$lme4_laplace$note, "no Hessian: `se` holds the covariance parameters fixed"), collapse = "; ")
  ll1 <- if (inherits(f, "error")) NA else as.numeric(logLik(f))
  if (isTRUE(m$agq)) {
    y <- getME(f, "y"); w <- weights(f)
    sat <- if (bin) sum(dbinom(round(y * w), w, y, log = TRUE)) else 0
    g25 <- capture(glmer(fo, data = d, family = binomial, nAGQ = 25, control = CTRL(tol, derivs)))
    if (pol) g25 <- polish(g25, fo, d, 25, tol, derivs)
    b <- lme4_block(g25, d, ll_shift = sat)
    if (is.null(b$error)) {
      b$first_fit <- g25$first_fit
      if (bin) b$lme4_raw_logLik <- as.numeric(logLik(g25$value))
      b$loglik_trapezoid_check <- tryCatch(exact_loglik(g25$value), error = function(e) NA)
    }
    res$lme4_agq25 <- b
    res$lme4_laplace$true_loglik_at_laplace_estimates <- tryCatch(exact_loglik(f), error = function(e) NA)
  }
  if (!isFALSE(m$tmb)) {
    if (is.null(gt)) gt <- capture(glmmTMB(fo, data = d, family = binomial))
    res$glmmTMB_laplace <- tmb_block(gt, d)
    if (is.null(res$glmmTMB_laplace$error)) {
      a <- res$lme4_laplace; b <- res$glmmTMB_laplace
      sda <- sd_by_name(a$random); sdb <- sd_by_name(b$random); stopifnot(identical(names(sda), names(sdb)))
      dl <- if (is.null(a$error)) a$logLik - b$logLik else NA
      res$agreement <- list(logLik_lme4_minus_glmmTMB = dl,
        max_fixef_difference_in_se = if (is.null(a$error)) maxrel(a$fixef, b$fixef) else NA,
        max_se_relative_difference = if (is.null(a$error)) max(abs(vapply(a$fixef, `[[`, 0, "se") / vapply(b$fixef, `[[`, 0, "se") - 1)) else NA,
        max_sd_abs_difference = if (is.null(a$error)) max(abs(sda - sdb)) else NA,
        agree = isTRUE(abs(dl) < 1e-3))
    }
  }
  if (!isFALSE(m$r2) && !inherits(f, "error")) res$performance <- r2_block(f)
  if (isTRUE(m$nagq0)) {
    g0 <- capture(glmer(fo, data = d, family = binomial, nAGQ = 0, control = CTRL(tol, FALSE)))
    f0 <- g0$value
    if (!inherits(f0, "error")) res$lme4_nagq0 <- list(logLik = as.numeric(logLik(f0)), fixef = setNames(as.list(unname(fixef(f0))), py_name(names(fixef(f0)), d)),
        random = vc_blocks(VarCorr(f0), d), seconds = round(g0$seconds, 3))
  }
  res
}

# glmer's refit() fails on many simulated responses (PIRLS step-halving), so the simulations are
# fitted with glmmTMB, whose log-likelihoods equal glmer's to 1e-5 or better here.
pb_lrt <- function(id, p, dss, nsim = 500) {
  d <- load_ds(dss[[p$data]])
  f1 <- as.formula(p$r1); f0 <- as.formula(p$r0)
  mer0 <- length(findbars(f0)) > 0
  bin <- grepl("cbind", p$r1)
  ll <- function(f, dat) if (length(findbars(f))) -glmmTMB(f, data = dat, family = binomial, se = FALSE)$fit$objective
                         else as.numeric(logLik(glm(f, data = dat, family = binomial)))
  obs <- 2 * (ll(f1, d) - ll(f0, d))
  t0 <- proc.time()[["elapsed"]]
  small <- if (mer0) glmmTMB(f0, data = d, family = binomial) else glm(f0, data = d, family = binomial)
  # success probabilities under the smaller model; new random effects in every simulation
  X <- model.matrix(nobars(f0)[-2], d)
  beta <- if (mer0) fixef(small)$cond else coef(small)
  sds <- if (mer0) attr(VarCorr(small)$cond[[1]], "stddev") else NULL
  g <- if (mer0) d[[names(VarCorr(small)$cond)[1]]] else NULL
  set.seed(p$seed)
  bad <- 0; st <- numeric(0); dd <- d
  for (k in seq_len(nsim)) {
    eta <- drop(X %*% beta)
    if (mer0) eta <- eta + rnorm(nlevels(g), 0, sds)[as.integer(g)]
    y <- rbinom(nrow(d), if (bin) d$size else 1, plogis(eta))
    dd[[if (bin) "successes" else all.vars(f1)[1]]] <- y
    v <- tryCatch(suppressWarnings(suppressMessages(2 * (ll(f1, dd) - ll(f0, dd)))), error = function(e) NA)
    if (is.na(v)) bad <- bad + 1 else st <- c(st, v)
  }
  st <- pmax(st, 0); n <- length(st)
  list(data = dss[[p$data]]$file, larger = p$r1, smaller = p$r0, larger_python = p$py1, smaller_python = p$py0,
       observed_lrt = obs, df_difference = p$df, nsim = nsim, seed = p$seed, failed = bad,
       p_parametric_bootstrap = (1 + sum(st >= obs)) / (1 + n),
       p_chisq = pchisq(obs, p$df, lower.tail = FALSE),
       p_half_mixture = p$mix(obs), half_mixture = p$mixtext,
       simulated_lrt = list(mean = mean(st), share_below_1e_4 = mean(st < 1e-4),
                            quantiles = num(quantile(st, c(.5, .75, .9, .95, .99)))),
       engine = "glmmTMB (Laplace) and glm", seconds = round(proc.time()[["elapsed"]] - t0, 1))
}

bayes_fit <- function(id, b, dss) {
  suppressPackageStartupMessages({library(rstanarm); library(posterior)})
  d <- load_ds(dss[[b$data]])
  t0 <- proc.time()[["elapsed"]]
  cap <- capture(stan_glmer(as.formula(b$r), data = d, family = binomial, chains = 4, iter = 2000, seed = b$seed,
                            cores = 1, refresh = 0))
  sec <- proc.time()[["elapsed"]] - t0
  f <- cap$value
  if (inherits(f, "error")) return(list(error = conditionMessage(f)))
  dr <- as_draws_array(f$stanfit)
  pars <- dimnames(dr)[[3]]
  keep <- !grepl("^b\\[|lp__|mean_PPD|^log-posterior", pars) | grepl("^Sigma", pars)
  dr <- dr[, , keep, drop = FALSE]
  sm <- summarise_draws(dr, mean, sd, ~quantile(.x, c(.05, .5, .95)), rhat, ess_bulk, ess_tail)
  rows <- function(s) { o <- list(); for (i in seq_len(nrow(s))) o[[s$variable[i]]] <-
      list(mean = s$mean[i], sd = s$sd[i], q5 = s[["5%"]][i], q50 = s[["50%"]][i], q95 = s[["95%"]][i],
           rhat = s$rhat[i], ess_bulk = s$ess_bulk[i], ess_tail = s$ess_tail[i]); o }
  # SDs (and correlations) per random-effect block from the covariance draws
  dd <- as_draws_df(dr); vn <- grep("^Sigma\\[", names(dd), value = TRUE); ex <- list()
  for (v in vn) { k <- sub("\\]$", "", sub("^Sigma\\[", "", v)); pr <- strsplit(sub("^[^:]*:", "", k), ",")[[1]]
    g <- sub(":.*$", "", k)
    if (pr[1] == pr[2]) ex[[paste0("sd[", g, ":", pr[1], "]")]] <- sqrt(dd[[v]])
    else { a <- paste0("Sigma[", g, ":", pr[1], ",", pr[1], "]"); c <- paste0("Sigma[", g, ":", pr[2], ",", pr[2], "]")
      ex[[paste0("corr[", g, ":", pr[2], ",", pr[1], "]")]] <- dd[[v]] / sqrt(dd[[a]] * dd[[c]]) } }
  nch <- length(unique(dd$.chain))
  ea <- array(unlist(ex), c(nrow(dd) / nch, nch, length(ex)), dimnames = list(NULL, NULL, names(ex)))
  sx <- summarise_draws(as_draws_array(ea), mean, sd, ~quantile(.x, c(.05, .5, .95)), rhat, ess_bulk, ess_tail)
  pri <- capture.output(print(prior_summary(f)))
  ps <- prior_summary(f)
  et <- rstan::get_elapsed_time(f$stanfit)
  list(data = dss[[b$data]]$file, r_formula = b$r, python_formula = b$py, engine = "rstanarm::stan_glmer",
       chains = 4, iterations = 2000, warmup = 1000, seed = b$seed, cores = 1,
       priors = list(text = I(pri),
         intercept = list(dist = "normal", location = ps$prior_intercept$location, scale = ps$prior_intercept$scale,
                          note = "on the intercept after centring all predictor columns"),
         slopes = list(names = I(names(fixef(f))[names(fixef(f)) != "(Intercept)"]), dist = "normal", location = I(as.numeric(ps$prior$location)),
                       scale = I(as.numeric(if (is.null(ps$prior$adjusted_scale)) ps$prior$scale else ps$prior$adjusted_scale)),
                       note = "2.5 / sd(column of the model matrix)"),
         covariance = list(dist = "decov", regularization = as.numeric(ps$prior_covariance$regularization),
                           concentration = as.numeric(ps$prior_covariance$concentration),
                           shape = as.numeric(ps$prior_covariance$shape), scale = as.numeric(ps$prior_covariance$scale),
                           note = "for a single (scalar) random effect this is SD ~ Exponential(1) (gamma with shape 1, scale 1)")),
       posterior = rows(sm), derived = rows(sx),
       min_ess_bulk = min(c(sm$ess_bulk, sx$ess_bulk)), max_rhat = max(c(sm$rhat, sx$rhat)),
       warnings = I(cap$warnings), seconds_total = round(sec, 1),
       seconds_per_chain = mat(round(et, 2)), divergences = rstan::get_num_divergent(f$stanfit))
}

published <- list()

# Marks which engine reached the higher Laplace log-likelihood.
finish_model <- function(m) {
  a <- m$lme4_laplace$logLik; b <- m$glmmTMB_laplace$logLik
  if (is.null(a) && is.null(b)) return(m)
  v <- c(lme4 = if (is.null(a)) NA else a, glmmTMB = if (is.null(b)) NA else b)
  m$agreement$best_laplace_logLik <- max(v, na.rm = TRUE)
  m$agreement$best_laplace_engine <- if (isTRUE(m$agreement$agree)) "both" else names(which.max(v))
  m
}
named <- function(x) if (length(x)) x else setNames(list(), character(0))   # {} in JSON, not []

versions <- function() {
  p <- c("lme4", "glmmTMB", "TMB", "performance", "insight", "rstanarm", "rstan", "jsonlite")
  c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
    as.list(sapply(p, function(x) tryCatch(as.character(packageVersion(x)), error = function(e) NA))))
}

write_json_file <- function(x, path)
  writeLines(toJSON(x, auto_unbox = TRUE, digits = I(10), na = "null", null = "null", pretty = 1), path)

# Command line: [fit|pb|bayes|agq|assemble] [ids...]; nothing = all.
# Every finished piece is kept as an .rds file in the folder named by REF_CACHE (default: a
# temporary folder), so that a long run can be done in parts; `assemble` writes the JSON.
cache_dir <- function() { p <- Sys.getenv("REF_CACHE", file.path(tempdir(), "cache")); dir.create(p, FALSE, TRUE); p }
piece <- function(kind, id, fun) {
  p <- file.path(cache_dir(), paste0(kind, "__", id, ".rds"))
  if (file.exists(p)) return(readRDS(p))
  r <- fun(); saveRDS(r, p); r
}
