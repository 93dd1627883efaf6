# Fits models on request: reads one tab-separated command per line, and answers with one line.
#   versions              -> versions of R and of the installed packages, name=version
#   load PATH             -> "ok"; reads the data for the following fits
#   fit ENGINE FORMULA    -> "ok", wall, CPU, log-likelihood, standard errors (comma-separated), messages
# After a failure the answer is "error" and its message.

packages <- c("lme4", "glmmTMB")
installed <- packages[vapply(packages, requireNamespace, logical(1), quietly = TRUE)]
frame <- NULL

versions <- function() {
  told <- vapply(installed, function(name) paste0(name, "=", packageVersion(name)), "")
  c(paste0("R=", getRversion()), paste0("BLAS=", basename(extSoftVersion()[["BLAS"]])), told)
}

load_table <- function(path) {
  frame <<- read.csv(path, stringsAsFactors = TRUE)
  if ("mode" %in% names(frame)) frame$mode <<- factor(frame$mode, levels = c("want", "do"))
  "ok"
}

fit <- function(engine, formula) {
  formula <- as.formula(formula)
  said <- character()
  hear <- function(condition, restart) {
    said <<- c(said, conditionMessage(condition))
    invokeRestart(restart)
  }
  before <- proc.time()
  withCallingHandlers(
    {
      made <- switch(engine,
        lme4 = lme4::glmer(formula, frame, family = binomial()),
        glmmTMB = glmmTMB::glmmTMB(formula, frame, family = binomial())
      )
      covariance <- if (engine == "lme4") as.matrix(vcov(made)) else vcov(made)$cond
      errors <- sqrt(diag(covariance))
    },
    warning = function(condition) hear(condition, "muffleWarning"),
    message = function(condition) hear(condition, "muffleMessage")
  )
  spent <- proc.time() - before
  number <- function(value) format(value, digits = 15)
  c("ok", number(spent[["elapsed"]]), number(spent[["user.self"]] + spent[["sys.self"]]),
    number(as.numeric(logLik(made))), paste(vapply(errors, number, ""), collapse = ","),
    gsub("[\t\r\n]+", " ", paste(unique(said), collapse = "; ")))
}

input <- file("stdin")
open(input)
while (length(line <- readLines(input, n = 1)) > 0) {
  words <- strsplit(line, "\t", fixed = TRUE)[[1]]
  answer <- tryCatch(
    switch(words[1], versions = versions(), load = load_table(words[2]), fit = fit(words[2], words[3])),
    error = function(condition) c("error", gsub("[\t\r\n]+", " ", conditionMessage(condition)))
  )
  cat(paste(answer, collapse = "\t"), "\n", sep = "")
  flush(stdout())
}
