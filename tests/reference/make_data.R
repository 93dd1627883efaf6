# Writes ../../hierlogit/datasets/*.csv from the R packages named below.  Run from this folder:
#   Rscript make_data.R
# medpar of the package COUNT is read from the collection Rdatasets, and crossbill from the repository of unmarked, each at
# a fixed commit; MEDPAR and CROSSBILL may name copies of these files.
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

# One row for each quadrat and year in which it was visited. The day is the mean of the visits whose date is known.
unmarked <- "https://raw.githubusercontent.com/rbchan/unmarked/d02963ff63ef517a6c27867e0d6ecc9013e34474/data"
copy <- Sys.getenv("CROSSBILL")
load(if (nzchar(copy)) copy else url(file.path(unmarked, "crossbill.rda")))
by_year <- lapply(1999:2007, function(year) {
  visit <- function(what) as.matrix(crossbill[sprintf("%s%02d%d", what, year %% 100, 1:3)])
  seen <- visit("det")
  day <- ifelse(is.na(seen), NA, visit("date"))
  with(crossbill, data.frame(
    site = id, year = year, elevation = ele / 1000, forest = forest, day = round(rowMeans(day, na.rm = TRUE), 1),
    detections = as.integer(rowSums(seen, na.rm = TRUE)), visits = as.integer(rowSums(!is.na(seen)))))
})
crossbills <- do.call(rbind, by_year)
crossbills <- crossbills[crossbills$visits > 0, ]
out(crossbills[order(crossbills$site, crossbills$year), ], "crossbill.csv")
