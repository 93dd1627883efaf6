# Likelihood-ratio tests of terms by lme4 and glmmTMB, for a comparison with test_terms.
# Run from this folder: Rscript term_tests_reference.R > term_tests_reference.json
# For terms that no other term contains, the p-values are those of drop1; the others are of anova between the two models.
suppressMessages({library(lme4); library(glmmTMB)})
read <- function(name) {
  data <- read.csv(file.path("..", "..", "hierlogit", "datasets", paste0(name, ".csv")))
  for (column in intersect(c("livch", "urban", "trt", "btype", "situ", "Gender", "period"), names(data)))
    data[[column]] <- factor(data[[column]])
  data
}
tight <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, optCtrl = list(maxfun = 1e5))
models <- list(
  contraception_slope = list(
    data = "contraception", left = "use",
    formula = "age + I(age^2) + urban + livch + (1 + urban | district)",
    python = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)",
    drop1 = c("age", "I(age^2)", "urban", "livch"),
    anova = list(
      "urban | district" = c("age + I(age^2) + urban + livch + (1 | district)",
                             "age + I(age^2) + urban + livch + (1 + urban | district)"),
      "Intercept | district" = c("age + I(age^2) + urban + livch", "age + I(age^2) + urban + livch + (1 | district)"),
      "all effects | district" = c("age + I(age^2) + urban + livch",
                                   "age + I(age^2) + urban + livch + (1 + urban | district)")
    )
  ),
  contraception_interaction = list(
    data = "contraception", left = "use",
    formula = "age * urban + livch + (1 | district)", python = "use ~ age * urban + livch + (1 | district)",
    drop1 = c("livch", "age:urban"),
    anova = list(
      "age" = c("urban + livch + (1 | district)", "age + urban + livch + (1 | district)"),
      "urban" = c("age + livch + (1 | district)", "age + urban + livch + (1 | district)"),
      "Intercept | district" = c("age * urban + livch", "age * urban + livch + (1 | district)")
    )
  ),
  contraception_apart = list(
    data = "contraception", left = "use",
    formula = "urban + livch + (1 | district) + (0 + urban01 | district)",
    python = "use ~ urban + livch + (1 | district) + (0 + urban01 | district)",
    drop1 = c("urban", "livch"),
    anova = list(
      "urban01 | district" = c("urban + livch + (1 | district)",
                               "urban + livch + (1 | district) + (0 + urban01 | district)")
    )
  ),
  cbpp = list(
    data = "cbpp", left = "cbind(successes, size - successes)",
    formula = "period + (1 | herd)", python = "p(successes, size) ~ period + (1 | herd)",
    drop1 = c("period"), anova = list("Intercept | herd" = c("period", "period + (1 | herd)"))
  ),
  bacteria = list(
    data = "bacteria", left = "y",
    formula = "trt + week_gt2 + (1 | ID)", python = "y ~ trt + week_gt2 + (1 | ID)",
    drop1 = c("trt", "week_gt2"), anova = list("Intercept | ID" = c("trt + week_gt2", "trt + week_gt2 + (1 | ID)"))
  ),
  verbagg = list(
    data = "verbagg", left = "r2",
    formula = "Anger + Gender + btype + situ + (1 | id) + (1 | item)",
    python = "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
    drop1 = c("Anger", "Gender", "btype", "situ"),
    anova = list(
      "Intercept | id" = c("Anger + Gender + btype + situ + (1 | item)",
                           "Anger + Gender + btype + situ + (1 | id) + (1 | item)"),
      "Intercept | item" = c("Anger + Gender + btype + situ + (1 | id)",
                             "Anger + Gender + btype + situ + (1 | id) + (1 | item)")
    )
  )
)
# With do.call the fits contain their data, which drop1 needs.
engines <- list(
  lme4 = function(formula, data) {
    if (!length(findbars(formula))) return(glm(formula, binomial, data))
    do.call(glmer, list(formula, data, binomial, control = tight))
  },
  glmmTMB = function(formula, data) do.call(glmmTMB, list(formula, data, binomial))
)
tested <- function(one, fit_by) {
  data <- read(one$data)
  rows <- c()
  for (label in names(one$anova)) {
    logs <- lapply(one$anova[[label]], function(right) logLik(fit_by(as.formula(paste(one$left, "~", right)), data)))
    df <- attr(logs[[2]], "df") - attr(logs[[1]], "df")
    statistic <- 2 * (as.numeric(logs[[2]]) - as.numeric(logs[[1]]))
    rows <- c(rows, sprintf('"%s": [%.6f, %d, %.10g]', label, statistic, df, pchisq(statistic, df, lower.tail = FALSE)))
  }
  whole <- fit_by(as.formula(paste(one$left, "~", one$formula)), data)
  dropped <- drop1(whole, scope = as.formula(paste("~", paste(one$drop1, collapse = "+"))), test = "Chisq")
  for (term in one$drop1) {
    row <- dropped[term, ]
    df <- if ("npar" %in% names(row)) row$npar else row$Df
    rows <- c(rows, sprintf('"%s": [%.6f, %d, %.10g]', gsub("^2", " ** 2", term, fixed = TRUE), row$LRT, as.integer(df),
                            row[["Pr(Chi)"]] %||% row[["Pr(>Chi)"]]))
  }
  paste0("{", paste(rows, collapse = ", "), "}")
}
`%||%` <- function(a, b) if (is.null(a)) b else a
cat("{\n", sprintf('  "lme4": "%s", "glmmTMB": "%s",\n', packageVersion("lme4"), packageVersion("glmmTMB")), sep = "")
cat('  "models": {\n')
blocks <- sapply(names(models), function(name) {
  one <- models[[name]]
  results <- sapply(names(engines), function(engine) sprintf('      "%s": %s', engine, tested(one, engines[[engine]])))
  sprintf('    "%s": {\n      "data": "%s",\n      "formula": "%s",\n%s\n    }', name, one$data, one$python,
          paste(results, collapse = ",\n"))
})
cat(paste(blocks, collapse = ",\n"), "\n  }\n}\n")
