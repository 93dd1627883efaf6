# Weighted multilevel logistic regressions of the PISA sample of the USA in 2000 by WeMix, at both scalings of the weights
# of pupils; writes pisa_reference.json, in a quarter of an hour.
#
# pisa_usa_2000.csv has the 2,069 pupils of 148 schools of Rabe-Hesketh and Skrondal (2006), with the columns of their
# pisaUSA2000.dta, which Stata Press distributes with "Multilevel and Longitudinal Modeling Using Stata" (read from the
# copy in github.com/munozedg/data; weights rounded to four decimals). The data are OECD's, Programme for International
# Student Assessment 2000, and may be distributed with their source.
# WeMix 4.0.4 (github.com/American-Institutes-for-Research/WeMix, commit 4f1497c) wants Matrix 1.5-4.1 for its linear
# models; its logistic models run with 1.5-3, as here, with this line of its DESCRIPTION changed.
# Run from this folder: Rscript pisa_reference.R
suppressPackageStartupMessages({library(WeMix); library(jsonlite)})

d <- read.csv("pisa_usa_2000.csv")
d$mn_isei <- ave(d$isei, d$id_school)
size <- ave(d$w_fstuwt, d$id_school, FUN = length)
total <- ave(d$w_fstuwt, d$id_school, FUN = sum)
squares <- ave(d$w_fstuwt^2, d$id_school, FUN = sum)
d$size <- d$w_fstuwt * size / total
d$effective <- d$w_fstuwt * total / squares
# Schools' weights divided by their mean, which changes neither estimates nor standard errors.
d$school <- d$wnrschbw / mean(d$wnrschbw[!duplicated(d$id_school)])
d$isei10 <- d$isei / 10
d$mn_isei10 <- d$mn_isei / 10
scale <- c(1, 1, 10, 10, 1, 1, 1, 1, 1)

fitted <- function(scaling) {
  m <- mix(pass_read ~ female + isei10 + mn_isei10 + high_school + college + test_lang + one_for + both_for +
             (1 | id_school), data = d, weights = c(scaling, "school"), cWeights = TRUE, nQuad = 25,
           family = binomial(), max_iteration = 50, keepAdapting = TRUE)
  list(coef = unname(m$coef) / scale, se = unname(m$SE) / scale, variance = unname(m$vars),
       variance_se = unname(m$var_theta), log_likelihood = as.numeric(m$lnl))
}
out <- list(
  made_by = paste0("R ", getRversion(), ", WeMix ", packageVersion("WeMix"), ", lme4 ", packageVersion("lme4")),
  fixed_effects = c("Intercept", "female", "isei", "mn_isei", "high_school", "college", "test_lang", "one_for",
                    "both_for"),
  size = fitted("size"), effective = fitted("effective"))
write_json(out, "pisa_reference.json", auto_unbox = TRUE, digits = 10, pretty = TRUE)
print(out)
