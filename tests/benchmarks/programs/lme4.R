# REML by lme4: file formula calls label-columns. One more call comes first if calls > 1.
suppressPackageStartupMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
formula <- as.formula(arguments[2])
calls <- as.integer(arguments[3])
for (column in strsplit(arguments[4], ",")[[1]]) data[[column]] <- factor(data[[column]])
now <- function() as.numeric(Sys.time())
if (calls > 1) invisible(suppressMessages(lmer(formula, data)))
times <- numeric(calls)
for (i in seq_len(calls)) {
  began <- now()
  fit <- suppressMessages(lmer(formula, data))
  times[i] <- now() - began
}
cat(sprintf('{"fit": %.6f, "criterion": %.6f, "loglik": %.6f}\n', median(times), REMLcrit(fit), -REMLcrit(fit) / 2))
