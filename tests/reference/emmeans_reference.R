# Marginal means, contrasts, adjusted p-values and tests of equivalence by emmeans; writes emmeans_reference.json.
# Run from this folder, which reads ../../hierlogit/datasets: Rscript emmeans_reference.R
suppressPackageStartupMessages({library(lme4); library(glmmTMB); library(emmeans); library(jsonlite)})

load <- function(name) read.csv(sprintf("../../hierlogit/datasets/%s.csv", name), stringsAsFactors = TRUE)
contraception <- load("contraception"); contraception$district <- factor(contraception$district)
contraception$livch <- factor(contraception$livch)
cbpp <- load("cbpp"); cbpp$herd <- factor(cbpp$herd)
verbagg <- load("verbagg"); verbagg$id <- factor(verbagg$id)

exact <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), tolPwrss = 1e-12)
models <- list(
  list(data = "contraception", formula = "use ~ age + urban * livch + (1 | district)", by = "livch", engine = "lme4",
       fit = glmer(use ~ age + urban * livch + (1 | district), contraception, binomial, control = exact)),
  list(data = "cbpp", formula = "p(successes, size) ~ period + (1 | herd)", by = "period", engine = "glmmTMB",
       fit = glmmTMB(cbind(successes, size - successes) ~ period + (1 | herd), cbpp, binomial)),
  list(data = "verbagg", formula = "r2 ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | item)",
       by = "btype", engine = "glmmTMB",
       fit = glmmTMB(r2 ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | item), verbagg, binomial))
)

DELTA <- 0.5
rows <- function(object, ...) { s <- as.data.frame(summary(object, ...)); s }
of_model <- function(m) {
  means <- emmeans(m$fit, m$by, df = Inf)       # z, not t
  pairs_of <- contrast(means, "revpairwise")     # the later level less the earlier one
  set.seed(1)
  mvt <- rows(pairs_of, infer = TRUE, adjust = "mvt", level = 0.95)
  plain <- rows(pairs_of, infer = TRUE, adjust = "none", level = 0.95)
  # Probabilities are averaged with the same weights, and compared.
  probabilities <- emmeans(m$fit, m$by, regrid = "response", df = Inf)
  differences <- rows(contrast(probabilities, "revpairwise"), infer = TRUE, adjust = "none")
  list(
    data = m$data, formula = m$formula, by = m$by, engine = m$engine,
    levels = as.character(rows(means)[[m$by]]), mean = rows(means)$emmean, mean_se = rows(means)$SE,
    contrasts = as.character(plain$contrast), estimate = plain$estimate, se = plain$SE, z = plain$z.ratio,
    p_none = plain$p.value, p_holm = rows(pairs_of, infer = TRUE, adjust = "holm")$p.value,
    p_single_step = mvt$p.value, low = mvt$asymp.LCL, high = mvt$asymp.UCL,
    delta = DELTA, p_equivalence = rows(pairs_of, infer = TRUE, adjust = "none", delta = DELTA, side = "equivalence")$p.value,
    p_above_delta = rows(pairs_of, infer = TRUE, adjust = "none", null = DELTA, side = ">")$p.value,
    probability = rows(probabilities)$prob, difference = differences$estimate, difference_se = differences$SE
  )
}
out <- list(made_by = paste("R", getRversion(), "lme4", packageVersion("lme4"), "glmmTMB", packageVersion("glmmTMB"),
                            "emmeans", packageVersion("emmeans")), models = lapply(models, of_model))
write_json(out, "emmeans_reference.json", auto_unbox = TRUE, digits = 12, pretty = FALSE)
