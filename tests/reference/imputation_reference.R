# Imputations of contraception by mice, fits to them by lme4, and the fits pooled by mice and mitml; writes
# imputation_reference.json and imputation_values.csv. About a minute.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript imputation_reference.R
suppressPackageStartupMessages({library(lme4); library(mice); library(mitml); library(jsonlite)})

m <- 10
d <- read.csv("../../hierlogit/datasets/contraception.csv", stringsAsFactors = TRUE)
d$livch <- factor(d$livch)
# Ages are missing at random given the outcome and residence, and numbers of children completely at random.
set.seed(1)
gone_age <- runif(nrow(d)) < plogis(-1.6 + 0.8 * d$use + 0.5 * (d$urban == "Y"))
gone_livch <- runif(nrow(d)) < 0.10
incomplete <- d[, c("use", "age", "urban", "livch", "district")]
incomplete$age[gone_age] <- NA
incomplete$livch[gone_livch] <- NA

# A single-level imputation with the clusters as fixed effects would be too large here, and the reference is about the
# pooling alone: which imputations are pooled does not matter.
imputed <- mice(incomplete, m = m, method = c("", "norm", "", "polyreg", ""), seed = 2, printFlag = FALSE)
long <- complete(imputed, "long")

# Only the imputed cells are written: the row, from 0, the column and the value of each imputation.
cells <- do.call(rbind, lapply(c("age", "livch"), function(column) {
  rows <- which(is.na(incomplete[[column]]))
  values <- sapply(seq_len(m), function(k) as.character(long[long$.imp == k, column][rows]))
  if (column == "age") values <- matrix(format(round(as.numeric(values), 4), trim = TRUE), nrow = length(rows))
  data.frame(row = rows - 1, column = column, values)
}))
names(cells) <- c("row", "column", paste0("imputation_", seq_len(m)))
write.csv(cells, "imputation_values.csv", row.names = FALSE, quote = FALSE)

filled <- function(k) {
  one <- incomplete
  for (column in c("age", "livch")) {
    rows <- cells$row[cells$column == column] + 1
    values <- cells[cells$column == column, paste0("imputation_", k)]
    one[[column]][rows] <- if (column == "age") as.numeric(values) else values
  }
  one$decades <- one$age / 10
  one
}
control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-11, optCtrl = list(maxfun = 1e5, rhobeg = 0.02, rhoend = 1e-8))
# Coefficients are in units that suit the search; `scale` brings them back to those of the columns.
fit <- function(k) glmer(use ~ decades + I(decades^2) + urban + livch + (1 | district), filled(k), binomial, control = control)
scale <- c(1, 10, 100, 1, 1, 1, 1)
fits <- lapply(seq_len(m), fit)
estimates <- sapply(fits, function(f) fixef(f) / scale)
covariances <- lapply(fits, function(f) as.matrix(vcov(f)) / outer(scale, scale))

pooled <- function(dfcom) {
  rows <- lapply(seq_along(scale), function(j) {
    one <- pool.scalar(estimates[j, ], sapply(covariances, function(V) V[j, j]), n = dfcom + 1, k = 1)
    data.frame(estimate = one$qbar, se = sqrt(one$t), df = one$df, fmi = one$fmi, riv = one$r,
               lambda = (1 + 1 / m) * one$b / one$t)
  })
  do.call(rbind, rows)
}
joint <- function(columns, df.com) {
  test <- mitml:::.D1(estimates[columns, , drop = FALSE],
                      array(unlist(lapply(covariances, function(V) V[columns, columns])), c(length(columns), length(columns), m)),
                      df.com)
  list(statistic = as.numeric(test$F), df = test$v, riv = test$r, p_value = pf(as.numeric(test$F), test$k, test$v, lower.tail = FALSE))
}
out <- list(made_by = paste("R", getRversion(), "lme4", packageVersion("lme4"), "mice", packageVersion("mice"),
                            "mitml", packageVersion("mitml")),
            formula = "use ~ age + I(age**2) + urban + livch + (1 | district)",
            imputations = m,
            fixed_effects = c("Intercept", "age", "I(age ** 2)", "urban[Y]", "livch[1]", "livch[2]", "livch[3+]"),
            sd = sapply(fits, function(f) attr(VarCorr(f)$district, "stddev")),
            infinite = pooled(Inf), few = pooled(25),
            livch = joint(5:7, NULL), livch_few = joint(5:7, 25), age = joint(2:3, NULL))
write_json(out, "imputation_reference.json", auto_unbox = TRUE, digits = 10, dataframe = "columns")
