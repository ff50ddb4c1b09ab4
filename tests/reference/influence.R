# Writes influence.json: leverage and case deletion of lme4, residuals of nlme.
# Rscript influence.R DATA influence.json, where DATA is the folder with sleepstudy.csv, Penicillin.csv
# and Orthodont.csv
library(lme4)
library(nlme)
library(jsonlite)
args <- commandArgs(trailingOnly = TRUE)
read <- function(name) read.csv(file.path(args[1], paste0(name, ".csv")))
sleep <- within(read("sleepstudy"), { Subject <- factor(Subject); w <- 1 / (1 + 0.1 * Days) })
peni <- read("Penicillin")
ortho <- within(read("Orthodont"), { Subject <- factor(Subject); occ <- (age - 8) / 2 + 1 })
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))
deleted <- function(fit, group) {
  found <- influence(fit, group)
  n <- nlevels(fit@frame[[group]])
  p <- length(fixef(fit))
  list(
    beta = unname(as.matrix(found[[grep("fixed.effects\\[-", names(found))]])),
    levels = rownames(found[[grep("fixed.effects\\[-", names(found))]]),
    cooks = unname(cooks.distance(found)) * n / (n - p)  # lme4 has (n - p)/n more
  )
}
slopes <- lmer(Reaction ~ Days + (Days | Subject), sleep, control = tight)
weighted <- lmer(Reaction ~ Days + (Days | Subject), sleep, weights = w, control = tight)
crossed <- lmer(diameter ~ 1 + (1 | plate) + (1 | sample), peni, control = tight)
kinds <- function(fit) list(
  response = unname(as.numeric(resid(fit, type = "response"))),
  standardized = unname(as.numeric(resid(fit, type = "pearson"))),
  normalized = unname(as.numeric(resid(fit, type = "normalized")))
)
ar1 <- gls(distance ~ age * Sex, ortho, corAR1(form = ~ occ | Subject))
car1 <- lme(distance ~ age, ortho, ~ 1 | Subject, corCAR1(form = ~ age | Subject),
            weights = varIdent(form = ~ 1 | Sex))
version <- list(
  program = paste0("lme4 ", packageVersion("lme4"), ", nlme ", packageVersion("nlme")),
  r = as.character(getRversion()),
  command = "Rscript influence.R DATA influence.json"
)
write(toJSON(list(
  version = version,
  hatvalues = list(
    slopes = unname(hatvalues(slopes)),
    weights = unname(hatvalues(weighted)),
    crossed = unname(hatvalues(crossed))
  ),
  deleted = list(
    slopes = deleted(slopes, "Subject"),
    weights = deleted(weighted, "Subject"),
    crossed = deleted(crossed, "sample")
  ),
  residuals = list(ar1 = kinds(ar1), car1 = kinds(car1))
), digits = 12, auto_unbox = TRUE), args[2])
