# Logistic regressions without random effects, by glm; writes naive_reference.json. A second.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript naive_reference.R
suppressPackageStartupMessages(library(jsonlite))

read <- function(name) read.csv(file.path("../../hierlogit/datasets", paste0(name, ".csv")), stringsAsFactors = TRUE)
tight <- glm.control(epsilon = 1e-14, maxit = 50)
naive <- function(python_formula, data, formula, d) {
  fit <- glm(formula, binomial, d, control = tight)
  list(formula = python_formula, data = data, coefficients = unname(coef(fit)), se = unname(sqrt(diag(vcov(fit)))))
}

contraception <- read("contraception")
out <- list(made_by = paste("R", getRversion()),
            models = list(
              naive("outcome ~ treatment*time + (1 | patientID)", "toenail", outcome ~ treatment * time, read("toenail")),
              naive("use ~ age + I(age**2) + urban + livch + (1 | district)", "contraception",
                    use ~ age + I(age^2) + urban + livch, contraception),
              naive("use ~ urban + offset(age / 50) + (1 | district)", "contraception",
                    use ~ urban + offset(age / 50), contraception),
              naive("p(successes, size) ~ period + (1 | herd)", "cbpp", cbind(successes, size - successes) ~ period,
                    read("cbpp"))))
write_json(out, "naive_reference.json", auto_unbox = TRUE, digits = 12, pretty = FALSE)
