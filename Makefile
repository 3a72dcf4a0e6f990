# `make demo` and `make test` do all the set-up: they need Python (3.10 to 3.13) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-avx2 test-lowest lint slow browser generated pictures site gpu lock

# Of `make gpu`.
DEVICE ?= cuda
OUT ?= benchmarks/results/gpu

demo: $(VENV)/installed
	$(BIN)/posekit predict model=demo out_dir=out draw_bbox=true

# Two files of tests at once; their threads sleep while they wait, so as not to take turns. Without
# `--max-worker-restart 0`, a run whose process died waits for ever. In the order of their names: in
# that of the number of tests, the last files would be some of the slowest. Processes that the tests
# start read compiled modules, also where the shell has Python keep none: else a second for each.
test: export OMP_WAIT_POLICY := passive
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# As on a processor without AVX-512, whose float32 results differ; ONNX Runtime knows no such switch.
test-avx2: export ATEN_CPU_CAPABILITY := avx2
test-avx2: export ONEDNN_MAX_CPU_ISA := AVX2
test-avx2: export MKL_ENABLE_INSTRUCTIONS := AVX2
test-avx2: export OPENBLAS_CORETYPE := Haswell
test-avx2: export OPENCV_CPU_DISABLE := AVX512-SKX
# OpenVINO still sees that the processor has bfloat16, and then finds no code for it.
test-avx2: export PYTEST_ADDOPTS := --deselect tests/test_bench.py::test_engines_without_the_type_are_left_out
test-avx2: test

# With the lowest versions that pyproject.toml allows.
test-lowest: $(VENV)-lowest/installed
	OMP_WAIT_POLICY=passive $(VENV)-lowest/bin/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0

slow: $(VENV)/installed
	$(BIN)/python -m pytest -q -m slow

# The page of `posekit app` in headless Chromium, which CHROMIUM may name; pictures of it are in
# out/screenshots.
browser: $(VENV)/installed
	$(BIN)/python -m pip install --quiet "playwright>=1.40" "axe-playwright-python>=0.1.4"
	$(BIN)/python -m pytest -q -m browser tests/app

# Tests, parity and speed on a GPU, in tables; `make gpu DEVICE=cpu FAST=1` proves it without one.
# It takes the Python that has PyTorch. Only where packages are missing does it try to install them,
# beside those of the system; where that fails, parts that need them say so.
gpu: NEEDED := av, cv2, filelock, huggingface_hub, hydra, pytest, safetensors, scipy, timm, torch, tqdm
gpu:
	@python=$(PYTHON); test ! -x $(BIN)/python || python=$(BIN)/python; \
	if ! $$python -c "import $(NEEDED)"; then \
		$(PYTHON) -m venv --system-site-packages $(VENV)-gpu \
		&& $(VENV)-gpu/bin/python -m pip install --quiet --retries 0 --editable . pytest \
		&& python=$(VENV)-gpu/bin/python \
		|| echo "packages are missing and cannot be installed: going on without them"; \
	fi; \
	$$python -m benchmarks.gpu --device $(DEVICE) --out "$(OUT)" $(if $(FAST),--fast)

# What conf/ and docs/ say of options, from their declarations.
generated: $(VENV)/installed
	$(BIN)/python -m posekit.commands.generated

# The versions that are tested, by uv, from pyproject.toml: the lowest for Python 3.10 on Linux, which every
# lower bound has a wheel for; the highest for every Python and system.
UV ?= uv
# `gui`, so that the OpenCV that others bring is of the same version.
COMPILE := $(UV) pip compile pyproject.toml --extra test --extra onnx --extra gui --python-version 3.10 --upgrade \
	--no-header --no-annotate --quiet
lock:
	$(COMPILE) --resolution lowest-direct --python-platform x86_64-manylinux_2_28 -o requirements/lowest.txt
	$(COMPILE) --resolution highest --universal -o requirements/highest.txt

# The pictures of docs/, by the packaged model.
pictures: $(VENV)/installed
	$(BIN)/python docs/images/make.py

# The documentation, into site/; links and anchors that lead nowhere are errors. (The variable keeps
# the theme from advertising its successor.)
site: export NO_MKDOCS_2_WARNING := 1
site: $(VENV)/installed-docs
	$(BIN)/mkdocs build --strict --quiet --site-dir site

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Made again only when the project's dependencies change.
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test,onnx]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

$(VENV)-lowest/installed: requirements/lowest.txt
	python3.10 -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-lowest/bin/python -m pip install --quiet --requirement requirements/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@
