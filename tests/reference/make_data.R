# Writes ../../hierlogit/datasets/*.csv from the R packages named below.  Run from this folder:
#   Rscript make_data.R
# medpar of the package COUNT is read from the collection Rdatasets, at a fixed commit; MEDPAR may name a copy of that file.
suppressPackageStartupMessages({library(lme4); library(mlmRev)})
yn  <- function(x, one) as.integer(as.character(x) == one)
ch  <- function(x) as.character(x)
int <- function(x) as.integer(as.character(x))
out <- function(d, f) write.csv(d, file.path("..", "..", "hierlogit", "datasets", f), row.names = FALSE, quote = FALSE)

data(Contraception, package = "mlmRev")
with(Contraception, out(data.frame(
  woman = int(woman), district = int(district), use = yn(use, "Y"), livch = ch(livch),
  ch = ifelse(livch == "0", "N", "Y"), age = age, urban = ch(urban), urban01 = yn(urban, "Y")),
  "contraception.csv"))

data(cbpp, package = "lme4")
with(cbpp, out(data.frame(
  herd = int(herd), obs = seq_along(herd), successes = as.integer(incidence), size = as.integer(size),
  period = paste0("p", period), period_num = int(period)), "cbpp.csv"))

data(VerbAgg, package = "lme4")
with(VerbAgg, out(data.frame(
  id = int(id), item = ch(item), r2 = yn(r2, "Y"), resp = ch(resp), Anger = as.integer(Anger),
  Gender = ch(Gender), btype = ch(btype), situ = ch(situ), mode = ch(mode)), "verbagg.csv"))

data(toenail, package = "HSAUR3")
with(toenail, out(data.frame(
  patientID = int(patientID), visit = as.integer(visit), time = time, treatment = ch(treatment),
  outcome = yn(outcome, "moderate or severe")), "toenail.csv"))

data(guImmun, package = "mlmRev")
with(guImmun, out(data.frame(
  kid = int(kid), mom = int(mom), comm = int(comm), immun = yn(immun, "Y"), kid2p = ch(kid2p),
  mom25p = ch(mom25p), ord = ch(ord), ethn = ch(ethn), momEd = ch(momEd), husEd = ch(husEd),
  momWork = ch(momWork), rural = ch(rural), pcInd81 = pcInd81, kid2p01 = yn(kid2p, "Y")), "guimmun.csv"))

data(bacteria, package = "MASS")
with(bacteria, out(data.frame(
  ID = ch(ID), week = as.integer(week), week_gt2 = as.integer(week > 2), y = yn(y, "y"),
  ap = ifelse(ap == "a", "active", "placebo"), hilo = ch(hilo), trt = ch(trt)), "bacteria.csv"))

data(bdf, package = "nlme")
with(as.data.frame(bdf), out(data.frame(
  school = int(schoolNR), pupil = int(pupilNR), repeated = as.integer(ch(repeatgr) != "0"),
  sex = ifelse(ch(sex) == "1", "girl", "boy"), minority = ch(Minority), IQ_verb = IQ.verb, IQ_perf = round(IQ.perf, 3),
  ses = as.integer(ses), mixedgra = ifelse(ch(mixedgra) == "1", "Y", "N"), percmino = as.integer(percmino),
  classsiz = as.integer(classsiz)), "bdf.csv"))

rdatasets <- "https://raw.githubusercontent.com/vincentarelbundock/Rdatasets/1dcc2bf5f955cc1224a3e1307256e1fe86b68dae/csv"
medpar <- read.csv(Sys.getenv("MEDPAR", file.path(rdatasets, "COUNT/medpar.csv")), colClasses = c(provnum = "character"))
with(medpar, out(data.frame(
  provnum = provnum, died = died, type = c("elective", "urgent", "emergency")[type], age80 = age80, white = white,
  hmo = hmo, los = los), "medpar.csv"))

data(Salamanders, package = "glmmTMB")
with(Salamanders, out(data.frame(
  site = ch(site), mined = ch(mined), cover = round(cover, 4), visit = as.integer(sample), DOP = round(DOP, 4),
  Wtemp = round(Wtemp, 4), DOY = round(DOY, 4), spp = ch(spp), count = as.integer(count),
  present = as.integer(count > 0)), "salamanders.csv"))
