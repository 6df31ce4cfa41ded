# make train · make practice · make test: each makes .venv and installs into it first, when needed.

PYTHON ?= python3
RUN := .venv/bin/python
JUPYTER := jupyterlab==4.6.6
INSTALLED := .venv/installed
AS_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)# JupyterLab refuses to run as root without it: containers do

# `make train PYTHON=python3.12`: an environment that a different version of Python made is made again.
ifneq ($(origin PYTHON),file)
VERSION := -c 'import sys; print(*sys.version_info[:2])'
ifneq ($(shell $(PYTHON) $(VERSION) 2>&1),$(shell $(RUN) $(VERSION) 2>&1))
OTHER := yes
.PHONY: .venv/installed
endif
endif

.PHONY: help train practice test trials gpu tensorboard jupyter notebooks figures lint clean
.DEFAULT_GOAL := help

help:            ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile

train: $(INSTALLED)       ## train the course CNN with the default options
	$(RUN) Course19-TrainGPU/train.py

practice: $(INSTALLED)    ## write: exercises that are judged each time you save
	$(RUN) -m practice

test: $(INSTALLED)        ## run all tests
	$(RUN) -m pytest -n 2

trials: $(INSTALLED)      ## break the training program on purpose: signals, full disks, damaged files, lost processes
	$(RUN) -m pytest -m slow

gpu: $(INSTALLED)         ## test and measure on a GPU, where there is one: some minutes
	$(RUN) tools/measure_gpu.py

tensorboard: $(INSTALLED) ## look at the logs in a browser
	$(RUN) -m tensorboard.main --logdir logs

jupyter: $(INSTALLED)     ## open the lessons as notebooks in JupyterLab, which is installed the first time
	$(RUN) -c 'import jupyterlab' 2>/dev/null || $(RUN) -m pip install --disable-pip-version-check $(JUPYTER)
	$(RUN) -m jupyterlab $(AS_ROOT) --LabApp.default_url=/lab/tree/Course00-Tensors/lesson.ipynb

notebooks: $(INSTALLED)   ## weave the notebooks again, from the scripts and the notes
	$(RUN) tools/weave_notebooks.py

figures: $(INSTALLED)     ## draw the pictures of all notes again
	$(RUN) tools/update_figures.py

lint: $(INSTALLED)        ## check the style, where ruff is installed
	ruff check . && ruff format --check .

clean:           ## remove the environment; data, logs and checkpoints stay
	rm -rf .venv

# Redone when the requirements change; a broken or half-made environment is made anew.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@rm -f $(INSTALLED)
	{ test -x $(RUN) && test -z "$(OTHER)"; } || $(PYTHON) -m venv --clear .venv
	$(RUN) -m pip install --disable-pip-version-check --requirement requirements.txt
	@touch $(INSTALLED)
