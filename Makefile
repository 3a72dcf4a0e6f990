# `make demo` and `make test` do all the set-up: they need Python (3.10 to 3.13) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Weights and a photograph of a developer's checkout; without them the demo downloads both.
SHARED ?= ../shared

.PHONY: demo test lint slow

demo: $(VENV)/installed
ifneq ($(wildcard $(SHARED)/weights),)
	$(BIN)/posekit predict model=rtmpose-t_body8-256x192 \
	  weights="$(SHARED)/weights/rtmpose-t_seeded.onnx" \
	  detector=rtmdet-nano_person-320 detector_weights="$(SHARED)/weights/rtmdet_nano_person.pth" \
	  inputs="$(SHARED)/images/000000197388.jpg" out_dir=out draw_bbox=true
	@echo "The people are found by trained weights; the keypoints come from untrained ones."
else
	$(BIN)/posekit predict model=human out_dir=out draw_bbox=true \
	  inputs=http://images.cocodataset.org/val2017/000000197388.jpg
endif

test: $(VENV)/installed
	$(BIN)/python -m pytest -q

slow: $(VENV)/installed
	$(BIN)/python -m pytest -q -m slow

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
