# Every verb of the project. `make serve` and `make test` set up all they need, in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Of the sandbox's HTML check; not to be had without npm, which stops nothing.
DATA_OF_CHECKS := src/mailferry/sandbox/checks/html/data/package-lock.json
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: serve setup test check format bench peers soak contracts lock caniemail docs clean help

help:            ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

serve: $(VENV)/.runtime $(DATA_OF_CHECKS) ## start Mailferry with its data in ./data (DATA=DIR for another place)
	$(BIN)/mailferry serve --data $(or $(DATA),data)

setup: $(VENV)/.runtime $(DATA_OF_CHECKS) ## set up and start nothing

test: check                    ## lint, types and all tests
	$(BIN)/python tests/setup.py
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.development    ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.development   ## let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.development    ## Mailferry beside Postfix + OpenDKIM, in one run; claims beside a million that wait; a million suppressions; SES beside Mailtrap's API; the sandbox beside maildev; what test-suites wait for
	$(BIN)/python tests/setup.py
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.queue
	$(BIN)/python -m bench.suppressions
	$(BIN)/python -m bench.ses
	$(BIN)/python -m bench.sandbox
	$(BIN)/python -m bench.testing

peers: $(VENV)/.development    ## the slow strangers
	$(BIN)/python tests/setup.py
	$(BIN)/python -m pytest -m peer $(ARGS)

soak: $(VENV)/.development     ## property tests and kills, for long
	$(BIN)/python tests/setup.py
	$(BIN)/python -m pytest tests/test_endpoints_smtp_fuzz.py tests/test_endpoints_mailtrap_random.py tests/contracts/test_random.py tests/contracts/test_schemathesis.py tests/test_mail_tracking.py tests/test_mail_links.py tests/test_sandbox_html_markup.py tests/test_sandbox_html_check.py tests/peers/test_handlebars_js.py tests/test_testing_stranger.py --examples 5000 $(ARGS)
	$(BIN)/python -m pytest -s tests/crash --kills 300 $(ARGS)

contracts: $(VENV)/.development ## what differs between our table of facts and a vendor's files (CONTRACTS=DIR)
	@test -n '$(CONTRACTS)' || { echo "Say where Mailtrap's files lie: make contracts CONTRACTS=DIR (with legacy/ and current/)" >&2; exit 2; }
	$(BIN)/python -m tests.contracts.facts '$(CONTRACTS)'

lock: $(VENV)/.development     ## resolve the dependencies anew; the locks name no index
	$(BIN)/uv pip compile pyproject.toml --extra postgres --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra postgres --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet --constraint requirements.lock --output-file requirements-dev.lock

caniemail: $(BIN)/python       ## take the newest data of the sandbox's HTML check
	$(BIN)/python assets/caniemail/provide.py --update

docs: $(VENV)/.development     ## write anew what is made from the code: the operations in docs/ses.md
	$(BIN)/python -m mailferry.endpoints.ses.document docs/ses.md

clean:                         ## remove what the set-up made (never ./data)
	rm -rf $(VENV) $(dir $(DATA_OF_CHECKS)) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Mailferry needs Python 3.11 or newer; '$(PYTHON)' is older. Choose another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

$(DATA_OF_CHECKS): assets/caniemail/package-lock.json | $(BIN)/python
	$(BIN)/python assets/caniemail/provide.py
