# Fits one model with rstanarm: Rscript rstanarm_fit.R FOLDER
# FOLDER contains table.csv, priors.csv (name, scale: prior sds of the coefficients except the intercept) and
# request.csv (formula, draws, tune, chains, cores, seed). The script writes draws.csv (a column for each parameter, the
# chains one after the other) and told.csv (name, value: times, memory and statistics of the fit) to it.
# A first fit with few draws loads the libraries. With `versions` in place of FOLDER it prints versions, if rstanarm is
# installed.

folder <- commandArgs(trailingOnly = TRUE)[1]
if (folder == "versions") {
  packages <- c("rstanarm", "rstan", "StanHeaders")
  if (all(vapply(packages, requireNamespace, logical(1), quietly = TRUE))) {
    cat(paste0(packages, "=", vapply(packages, function(name) paste(packageVersion(name)), "")), sep = "\n")
    cat(paste0("R=", getRversion(), "\n"))
  }
  quit()
}
place <- function(name) file.path(folder, name)
suppressPackageStartupMessages(library(rstanarm))
frame <- read.csv(place("table.csv"), stringsAsFactors = TRUE)
if ("mode" %in% names(frame)) frame$mode <- factor(frame$mode, levels = c("want", "do"))
asked <- read.csv(place("request.csv"), stringsAsFactors = FALSE)
formula <- as.formula(asked$formula)
given <- read.csv(place("priors.csv"), stringsAsFactors = FALSE)
columns <- colnames(model.matrix(lme4::nobars(formula), frame))[-1]
scales <- given$scale[match(columns, given$name)]
if (anyNA(scales)) stop("no prior for ", paste(columns[is.na(scales)], collapse = ", "))

sample <- function(draws, tune, chains, cores) {
  stan_glmer(formula, frame, family = binomial(), prior = normal(0, scales, autoscale = FALSE),
    prior_intercept = normal(0, 2.5, autoscale = FALSE), prior_covariance = decov(regularization = 2),
    iter = draws + tune, warmup = tune, chains = chains, cores = cores, seed = asked$seed, refresh = 0)
}

start <- proc.time()
suppressWarnings(sample(10, 20, 1, 1))
first <- (proc.time() - start)[["elapsed"]]
said <- character()
start <- proc.time()
fit <- withCallingHandlers(
  sample(asked$draws, asked$tune, asked$chains, asked$cores),
  warning = function(condition) {
    said <<- c(said, conditionMessage(condition))
    invokeRestart("muffleWarning")
  }
)
spent <- proc.time() - start
parameters <- setdiff(grep("^(b\\[|mean_PPD|log-posterior)", dimnames(fit$stanfit)$parameters, value = TRUE, invert = TRUE), "")
draws <- as.array(fit$stanfit)[, , parameters, drop = FALSE] # `pars =` takes out spaces
flat <- matrix(draws, ncol = length(parameters), dimnames = list(NULL, parameters))
write.csv(format(as.data.frame(flat, optional = TRUE), digits = 15), place("draws.csv"), row.names = FALSE)

steps <- rstan::get_sampler_params(fit$stanfit, inc_warmup = FALSE)
evaluations <- sum(vapply(steps, function(chain) sum(chain[, "n_leapfrog__"]), 0))
elapsed <- rstan::get_elapsed_time(fit$stanfit)
memory <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
told <- c(
  first_seconds = first, seconds = spent[["elapsed"]],
  cpu_seconds = sum(spent[c("user.self", "sys.self", "user.child", "sys.child")]),
  chain_seconds = sum(elapsed), chain_seconds_draws = sum(elapsed[, "sample"]),
  evaluations_draws = evaluations, divergences = rstan::get_num_divergent(fit$stanfit),
  peak_mib = as.numeric(gsub("[^0-9]", "", memory)) / 1024
)
write.csv(data.frame(name = names(told), value = told), place("told.csv"), row.names = FALSE)
writeLines(gsub("[\r\n]+", " ", unique(said)), place("notes.txt"))
