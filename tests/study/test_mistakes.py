"""Mistakes in configs/: each is one sentence with the file and the key, and exit code 2, before anything runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from fasa.cli import main

ROOT = Path(__file__).parents[2]
RECIPE, DETECTOR = "recipes/mine.yaml", "recipes/mine.yaml"  # read beside the kept ones
KEPT = "recipes/cifar100_lt.yaml"
SCALE, TABLE = "scales/mini.yaml", "tables/mine.yaml"

COLUMN = "{key: accuracy.last, label: Top-1}"
ROW = "{id: a, label: A, recipe: ce}"

NINE = [(new, ", ".join([f"*{old}"] * 9)) for old, new in pairwise("abcdefghi")]
LAUGHS = "a: &a [1, 1, 1, 1]\n" + "".join(f"{name}: &{name} [{nine}]\n" for name, nine in NINE)


def table(column: str = COLUMN, row: str = ROW, more: str = "") -> str:
    said = "title: x\npublished_as: Table 1\ndataset: x\ncaption: x\n"
    return f"{said}columns: [{column}]\nrows: [{row}]\n{more}"


def figure(said: str) -> str:
    return f"mine: {{title: x, published_as: Figure 1, caption: x, {said}}}\n"


def claim(row: str, column: str, expect: str) -> str:
    cells = f"{{table: cifar_lt, rows: [{row}], columns: [{column}], expect: {expect}}}"
    return f"mine: {{of: [cifar_lt], says: x, where: x, cells: [{cells}]}}\n"


def chain(key: str, length: int) -> str:
    """Recipes each of which names the one before by ``key``."""
    links = "".join(f"r{n}: {{base: ce, {key}: r{n - 1}}}\n" for n in range(1, length))
    return "r0: {base: ce}\n" + (links.replace("base: ce, ", "") if key == "base" else links)


# What a file says: its whole text, or what is replaced in it by what. Then words of the sentence.
MISTAKES = [
    # -------------------------------------------------------------------------------------------- the file as a whole
    (RECIPE, "", "is empty"),
    (RECIPE, "# nothing\n", "is empty"),
    (RECIPE, "- ce\n", "must hold a mapping"),
    (RECIPE, "ce\n", "must hold a mapping"),
    (RECIPE, "mine: {base: ce\n", "is not valid YAML at line 2"),
    (RECIPE, "mine:\n\tbase: ce\n", "is not valid YAML at line 2: a tab stands where YAML wants spaces"),
    (RECIPE, b"mine: {base: ce} # caf\xe9\n", "is not UTF-8 text"),
    (RECIPE, "mine: {base: ce}\n".encode("utf-16"), "is not UTF-8 text"),
    (RECIPE, b"mine: {base: ce} # \x07\n", "it holds the character #x0007"),
    (RECIPE, b"\xef\xbb\xbfmine: {base: ce, backbon: x}\n", "unknown key 'backbon'"),  # behind a byte order mark
    (RECIPE, "mine: {base: ce}\nmine: {base: tde}\n", "line 2: key 'mine' is given twice"),
    (RECIPE, "mine:\n  base: ce\n  freeze: true\n  base: tde\n", "line 4: key 'base' is given twice"),
    (RECIPE, "mine: &a {base: ce, loss: *a}\n", "line 1: an alias contains itself"),
    (RECIPE, "mine: *a\n", "found undefined alias 'a'"),
    (RECIPE, LAUGHS, "its aliases unfold to more than 100,000 values"),
    (RECIPE, "mine: " + "[" * 4000 + "]" * 4000, "nested too deeply"),
    (RECIPE, "--- {mine: {base: ce}}\n--- {yours: {base: ce}}\n", "but found another document"),
    (RECIPE, "mine: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    (RECIPE, "mine: !!int {base: ce}\n", "is not valid YAML"),
    (RECIPE, "mine: {base: ce, freeze: !!int yes}\n", "is not what its tag says"),
    (RECIPE, "? [mine]\n: {base: ce}\n", "found unhashable key"),
    (RECIPE, "mine/yours: {base: ce}\n", "must be named by letters, digits, _ and - alone"),
    (RECIPE, "3: {base: ce}\n", "must be named by letters, digits, _ and - alone"),
    (RECIPE, "../../x: {base: ce}\n", "must be named by letters, digits, _ and - alone"),
    (RECIPE, "a b; touch owned: {base: ce}\n", "must be named by letters, digits, _ and - alone"),
    (RECIPE, "'': {base: ce}\n", "must be named by letters, digits, _ and - alone"),
    (RECIPE, "--help: {base: ce}\n", "must be named by letters, .* the first no -"),
    (RECIPE, f"{'x' * 101}: {{base: ce}}\n", "line 1: a key is longer than 100 characters"),
    (RECIPE, '"mine\\nyours": {base: ce}\n', "line 1: a key .* has some that cannot be printed"),
    (RECIPE, '"mine": {base: ce, config: "a\\0b"}\n', "line 1: a text holds the character #x0000"),
    (RECIPE, "mine: {base: ce, schedule: {epochs: 1" + "0" * 30 + "}}\n", "is no number that a setting can have"),
    (RECIPE, "mine: {base: ce, schedule: {epochs: " + "1" * 5000 + "}}\n", "is no number that a setting can have"),
    (RECIPE, "ce: {base: ldam}\n", "recipe 'ce' stands in .*cifar100_lt.yaml already"),
    # --------------------------------------------------------------------------------------------------------- recipes
    (RECIPE, "mine: [ce]\n", "recipe 'mine' must be a mapping"),
    (RECIPE, "mine:\n", "recipe 'mine' must be a mapping"),
    (RECIPE, "mine: {base: ce, name: yours}\n", "unknown key 'name'; 'mine' is its name"),
    (RECIPE, "mine: {base: cee}\n", "recipe 'mine' names an unknown base 'cee'; closest: 'ce'"),
    (RECIPE, "mine: {base: [ce]}\n", "'base': must be a name, not \\['ce'\\]"),
    (RECIPE, "mine: {base:}\n", "'base': must be a name, not null"),
    (RECIPE, "a: {base: b}\nb: {base: c}\nc: {base: b}\n", "has itself among its bases: b -> c -> b"),
    (RECIPE, "mine: {base: ce, start_from: yours}\nyours: {base: ce, start_from: mine}\n",
     "recipe 'mine' starts from itself: mine -> yours -> mine"),
    (RECIPE, "mine: {base: ce, start_from: mine}\n", "recipe 'mine' starts from itself: mine -> mine"),
    (RECIPE, "mine: {base: ldam_m2m, teacher: mine}\n", "recipe 'mine' starts from itself: mine -> mine"),
    (RECIPE, "a: {base: ce, start_from: b}\nb: {base: ldam_m2m, teacher: c}\nc: {base: ce, start_from: a}\n",
     "recipe 'a' starts from itself: a -> b -> c -> a"),
    (RECIPE, chain("start_from", 12), "starts from more than 8 runs, one after the other"),
    (RECIPE, chain("base", 1200), "has more than 50 bases, one above the other"),
    (RECIPE, "mine: {base: ce, start_from: ''}\n", "'start_from': string should have at least 1 character"),
    (RECIPE, "mine: {base: ldam_m2m, teacher: ''}\n", "'teacher': string should have at least 1 character"),
    (RECIPE, "mine: {base: ce, start_from: mask_rcnn}\n", "a classifier, needs 'mask_rcnn', a detector"),
    (RECIPE, "mine: {base: ce, start_from: tdee}\n", "needs an unknown recipe 'tdee'; closest: 'tde'"),
    (RECIPE, "mine: {base: mask_rcnn, head: linear}\n", "give it a base of its own kind"),
    (RECIPE, "mine: {bse: ce}\n", "needs one of the keys 'head' .*; closest: 'base'"),
    (RECIPE, "mine: {haed: linear}\n", "needs one of the keys 'head' .*; closest: 'head'"),
    (RECIPE, "mine: {base: ce, backbone: resnet99}\n", "'backbone': input should be 'resnet32',.* closest: 'resnet34'"),
    (RECIPE, "mine: {base: ce, head: linaer}\n", "'head': .*, not 'linaer'; closest: 'linear'"),
    (RECIPE, "mine: {base: tde, head_options: {alhpa: 1}}\n", "unknown key 'head_options.alhpa'; .*closest: 'alpha'"),
    (RECIPE, "mine: {base: tde, head_options: {alpha: high}}\n", "'head_options.alpha': .*a valid number, not 'high'"),
    (RECIPE, "mine: {base: ce, head_options: {alpha: 1.5}}\n", "unknown key 'head_options.alpha'; known here: none"),
    (RECIPE, "mine: {base: ce, augmenter: {name: faza}}\n", "'augmenter.name': .*, not 'faza'; closest: 'fasa'"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {gruoping: class}}}\n",
     "unknown key 'augmenter.options.gruoping'; .*closest: 'grouping'"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {neighbours: 2.5}}}\n",
     "'augmenter.options.neighbours': input should be a valid integer, not 2.5"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {adaptive: 1}}}\n",
     "'augmenter.options.adaptive': input should be a valid boolean, not 1"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {momentum: true}}}\n",
     "'augmenter.options.momentum': input should be a valid number, not true"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, epochs: {strat_epoch: 3}}}\n",
     "unknown key 'augmenter.epochs.strat_epoch'; closest: 'start_epoch'"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, epochs: {neighbours: 3}}}\n",
     "unknown key 'augmenter.epochs.neighbours'; known here: start_epoch"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {start_epoch: 1}, epochs: {start_epoch: 3}}}\n",
     "'start_epoch' stands among the options, too"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {scale: 1}}}\n",
     "'augmenter.options.scale'; it is called 'draws_per_step' now"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {signal: 1}}}\n",
     "'augmenter.options.signal'; it is called 'adapt_on' now"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {variance: 1}}}\n",
     "'augmenter.options.variance'; it is called 'variance_estimator' now"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {plain: 1}}}\n",
     "'augmenter.options.plain'; it is called 'unweighted_virtual_loss' now"),
    (RECIPE, "mine: {base: ce, augmenter: {name: fasa, options: {grouping: classes}}}\n",
     "'augmenter.options.grouping': .*, not 'classes'; closest: 'class'"),
    (RECIPE, "mine: {base: ce, augmenter: {name: yin}}\n",
     "'augmenter.name': 'yin' acts by the hook 'phase', which the training of a classifier on images does not call"),
    (RECIPE, "mine: {base: rfs, augmenter: {name: remix}}\n",
     "'augmenter.name': 'remix' acts by the hook 'images', which the training of a detector does not call"),
    (TABLE, f"title: x\ncolumns: [{COLUMN}]\nrows: [{{id: a, label: A, recipe: ce, published: {{top: 1}}}}]\n",
     "'dataset' must say what the published figures are of"),
    (RECIPE, "mine: {base: ce, augmenter: {name: none, options: {momentum: 1}}}\n", "known here: none"),
    (RECIPE, "mine: {base: ce, augmenter: {name: m2m}}\n", "'teacher' goes with augmenter 'm2m'"),
    (RECIPE, "mine: {base: ce, teacher: ce}\n", "'teacher' goes with augmenter 'm2m'"),
    (RECIPE, "mine: {base: ce, augmenter: fasa}\n", "'augmenter': must be a mapping of keys to values, not 'fasa'"),
    (RECIPE, "mine: {base: ce, data: {name: cifar100-lt}}\n", "'data.name': .*closest: 'cifar100_lt'"),
    (RECIPE, "mine: {base: ce, data: {imbalance_ratio: 0}}\n", "'data.imbalance_ratio': .*greater than or equal to 1"),
    (RECIPE, "mine: {base: ce, loss: {margn: 1}}\n", "unknown key 'loss.margn'; .*closest: 'margin'"),
    (RECIPE, "mine: {base: ce, loss: {scale: 30}}\n", "unknown key 'loss.scale'; it is called 'logit_scale' now"),
    (RECIPE, "mine: {base: ce, schedule: {rate: 0.1}}\n", "unknown key 'schedule.rate'; it is called 'lr' now"),
    (RECIPE, "mine: {base: ce, schedule: {drops: {3: 1}}}\n", "'schedule.drops'; it is called 'milestones' now"),
    (RECIPE, "mine: {base: ce, schedule: {batch: 8}}\n", "'schedule.batch'; it is called 'batch_size' now"),
    (RECIPE, "mine: {base: ce, schedule: {lr: .nan}}\n", "line 1: .nan is no number that a setting can have"),
    (RECIPE, "mine: {base: ce, schedule: {lr: -.inf}}\n", "line 1: -.inf is no number that a setting can have"),
    (RECIPE, "mine: {base: ce, schedule: {lr: 1e999}}\n", "line 1: 1e999 is no number that a setting can have"),
    (RECIPE, "mine: {base: ce, schedule: {lr: '0.1'}}\n", "'schedule.lr': input should be a valid number, not '0.1'"),
    (RECIPE, "mine: {base: ce, schedule: {epochs: true}}\n", "'schedule.epochs': .*a valid integer, not true"),
    (RECIPE, "mine: {base: ce, schedule: {epochs: 1.5}}\n", "'schedule.epochs': .*a valid integer, not 1.5"),
    (RECIPE, "mine: {base: ce, schedule: {milestones: {late: 0.1}}}\n", "'schedule.milestones.late': "),
    (RECIPE, "mine: {base: ce, freeze: yes}\n", "'freeze': input should be a valid boolean, not 'yes'"),
    (RECIPE, "mine: {base: ce, validation: held_out}\n", "'validation': .*closest: 'heldout'"),
    (KEPT, ("backbone: resnet32\n", "bakbone: resnet32\n"), "unknown key 'bakbone'"),
    (KEPT, ("prior: 1.0", "priro: 1.0"), "unknown key 'loss.priro'"),
    # ------------------------------------------------------------------------------------------------------- detectors
    (DETECTOR, "mine: {base: rfs, loss: {name: arcfaze}}\n", "'loss.name': .*closest: 'arcface'"),
    (DETECTOR, "mine: {base: rfs, loss: {name: arcface, options: {margn: 1}}}\n", "'loss.options.margn'; .*'margin'"),
    (DETECTOR, "mine: {base: rfs, loss: {name: arcface, options: {margin: wide}}}\n", "'loss.options.margin': "),
    (DETECTOR, "mine: {base: rfs, loss: {name: bags, options: {num_classes: 3}}}\n", "'loss.options.num_classes'; "),
    (DETECTOR, "mine: {base: rfs, augmenter: {name: m2m}}\n", "'augmenter.name': "),
    (DETECTOR, "mine: {base: rfs, augmenter: {name: smote, options: {memroy: 3}}}\n", "options.memroy'; .*'memory'"),
    (DETECTOR, "mine: {base: rfs, schedule: {sampler: {steps: 3}}}\n", "it is called 'sampler_options' now"),
    (DETECTOR, "mine: {base: rfs, schedule: {sampler_options: {stpes: 3}}}\n", "'schedule.sampler_options.stpes'; "),
    (DETECTOR, "mine: {base: rfs, schedule: {milestones: 8}}\n", "'schedule.milestones': must be a list, not 8"),
    (DETECTOR, "mine: {base: rfs, schedule: {optimizer: adam}}\n", "'schedule.optimizer': .*closest: 'adamw'"),
    (DETECTOR, "mine: {base: rfs, config: mask-rcnn_r51_fpn_lvis}\n",
     "mask-rcnn_r51_fpn_lvis.py is missing, which recipe 'mine' names; closest: 'mask-rcnn_r"),
    ("mmdet/_base_/mask-rcnn_r50_fpn_lvis.py", "_base_ = 'mask-rcnn_r50_fpn_lvis.py'\n", "itself among its '_base_'"),
    ("mmdet/_base_/mask-rcnn_r50_fpn_lvis.py", "_base_ = [1]\n", "'_base_' must be the names of files"),
    ("mmdet/_base_/mask-rcnn_r50_fpn_lvis.py", "_base_ = 1\n", "is not a config"),
    ("mmdet/_base_/mask-rcnn_r50_fpn_lvis.py", "a = " + "(" * 9000 + ")" * 9000, "is not a config"),
    (DETECTOR, "mine: {base: rfs, config: 'a b_r50_fpn_$(touch owned)'}\n", "'config': string should match pattern"),
    (DETECTOR, "mine: {base: rfs, schedule: {milestones: [-1]}}\n", "'schedule.milestones.0': .*greater than 0"),
    (DETECTOR, "mine: {base: rfs, config: r51}\n", "'config': string should match pattern"),
    (DETECTOR, "mine: {base: rfs, backbone: r101}\n", "unknown key 'backbone'; it is called 'config' now"),
    (DETECTOR, "mine: {base: rfs, sampler: repeat-factor}\n", "'sampler': .*closest: 'repeat_factor'"),
    (DETECTOR, "mine: {base: rfs, stage_two: true}\n", "'start_from' goes with 'stage_two' or 'calibrated'"),
    (DETECTOR, "mine: {base: coco_lt_simcal, loss: {name: eql}}\n", "'calibrated' has a head .* without 'loss'"),
    (DETECTOR, "mine: {base: coco_lt_simcal, augmenter: {name: fasa}}\n", "'calibrated' has .* without 'augmenter'"),
    (DETECTOR, "mine: {base: crt, nms_resampling: true}\n", "'nms_resampling' and 'stage_two' are box heads"),
    (DETECTOR, "mine: {base: cascade_rfs_r101_24, nms_resampling: true}\n", "'nms_resampling' wants the one box head"),
    (DETECTOR, "mine: {base: rfs, data: {name: glyphs, options: {classes: 3}}}\n",
     "'data.options.train_images': field required"),
    (DETECTOR, "mine: {base: rfs, data: {name: lvis, options: {classes: 3}}}\n",
     "'data.options.classes'; known here: none"),
    # ---------------------------------------------------------------------------------------------------------- scales
    (SCALE, ("batch_size: 32", "batch: 32"), "'classification.schedule.batch'; it is called 'batch_size' now"),
    (SCALE, ("batch_size: 32", "batch_size: many"), "'classification.schedule.batch_size': .*, not 'many'"),
    (SCALE, ("batch_size: 32", "batch_size: 32, batch_size: 64"), "key 'batch_size' is given twice"),
    (SCALE, ("epoch_length:", "epoch_lenght:"), "'classification.epoch_lenght'"),
    (SCALE, ("{batch_size: 4,", "{batch_sise: 4,"), "'detection.schedule.batch_sise'; .*closest: 'batch_size'"),
    (SCALE, ("classification:\n", "epochs: 0.5\nclassification:\n"), "it stands under 'classification.epochs' now"),
    (SCALE, ("classification:\n", "seeds: [0]\nclassification:\n"), "it stands under 'classification.seeds' now"),
    (SCALE, ("classification:", "classifcation:"), "unknown key 'classifcation'; .*closest: 'classification'"),
    (SCALE, ("description: A laptop", "base: mimi\ndescription: A laptop"),
     "an unknown scale 'mimi'; .*closest: 'mini'"),
    (SCALE, ("description: A laptop", "base: mini\ndescription: A laptop"), "itself among its bases: mini -> mini"),
    (SCALE, ("description: A laptop", f"base: {'x' * 5000}\ndescription: A laptop"),
     "unknown scale 'x{100}…'; there are"),
    (RECIPE, f"mine: {{base: {'x' * 5000}}}\n", "names an unknown base '?x{100}…'"),
    (SCALE, ("description: A laptop", "base: ce\ndescription: A laptop"), "'base' names an unknown scale 'ce'"),
    (SCALE, ("resnet32: {blocks", "resnet33: {blocks"), "unknown key 'classification.backbones.resnet33'"),
    (SCALE, ("resnet32: {blocks: [1, 1, 1]}", "resnet32: {blocks: 3}"), "backbones.resnet32.blocks': must be a list"),
    (SCALE, ("width: 16}", "widht: 16}"), "backbones.resnet34.widht'; .*closest: 'width'"),
    (SCALE, ("causal: {alpha", "casual: {alpha"), "'classification.heads.casual'; .*closest: 'causal'"),
    (SCALE, ("causal: {alpha", "causal: {alhpa"), "'classification.heads.causal.alhpa'; .*closest: 'alpha'"),
    (SCALE, ("mem_mb: 1500, runtime: 10", "mem_mb: 1500, runtime: .inf"), "line 19: .inf is no number"),
    (SCALE, ("{gpu: 0, mem_mb: 1500", "{gpus: 0, mem_mb: 1500"), "'classification.resources.gpus'; .*closest: 'gpu'"),
    (SCALE, ("blocks: [1, 1, 1]", "blokcs: [1, 1, 1]"), "backbones.resnet32.blokcs'; .*closest: 'blocks'"),
    (SCALE, ("blocks: [1, 1, 1]", "blocks: [1, 0, 1]"), "backbones.resnet32.blocks.1': .*greater than 0"),
    (SCALE, ("seconds: {resnet32: 7", "seconds: {resnet32: -7"), "seconds.resnet32': .*greater than or equal to 0"),
    (SCALE, ("seconds: {resnet32: 7", "seconds: {resnet32: .nan"), "line 20: .nan is no number"),
    (SCALE, ("weight_decay: 0.02, texture", "nosuch: 1, texture"), "unknown key 'detection.pretraining.nosuch'"),
    (SCALE, ("classes: 240, per", "classes: -1, per"), "pretraining: classes is -1, but must be at least 1"),
    (SCALE, ("sides: [48]", "sides: []"), "pretraining: sides is empty"),
    (SCALE, ("sides: [48]", "sides: [0]"), "pretraining: sides are \\[0\\], but must be between 16 and 1024"),
    (SCALE, ("batch_size: 64, lr: 3.0e-3", "batch_size: 64, lr: -1"), "pretraining: lr must be above 0"),
    (SCALE, ("texture: 0.6", "texture: 3"), "pretraining: texture must be 0 to 2"),
    (SCALE, ("first_class: 0", "first_class: 60000"), "but the catalogue has"),
    (SCALE, ("  model: small", "  model: ../../x"), "'detection.model': string should match pattern"),
    (SCALE, ("  model: small", f"  model: {'x' * 300}"), "'detection.model': string should match pattern"),
    (SCALE, ("  model: small", "  weights: {r50: ['https://x/a b;touch owned-0676ba61.pth']}\n  model: small"),
     "'detection.weights.r50.0': string should match pattern"),
    (SCALE, ("mem_mb: 1500", "mem_mb: 1.5e3"), "'classification.resources.mem_mb': .*a valid integer"),
    (SCALE, ("seconds: {resnet32: 7", "seconds: {resnet31: 7"), "'classification.seconds.resnet31'"),
    (SCALE, ("seconds: {r50: 35", "seconds: {r51: 35"), "'detection.seconds.r51'; .*closest: 'r50'"),
    (SCALE, ("disk_gb: {r50:", "disk_gb: {R50:"), "'detection.disk_gb.R50'"),
    (SCALE, ("  model: small", "  weights: {r5: [x]}\n  model: small"), "'detection.weights.r5'; .*closest: 'r50'"),
    (SCALE, ("cifar100_lt: {name", "cifar100: {name"), "'classification.data.cifar100'; .*closest: 'cifar10"),
    (SCALE, ("imbalance_ratio: 50", "ratio: 50"), "'classification.data.cifar100_lt.ratio'; "),
    (SCALE, ("{classes: 240,", "{clases: 240,"), "'detection.data.lvis.options.clases'; .*closest: 'classes'"),
    (SCALE, ("objects: [2, 5]", "objects: [2, 5, 7]"), "options.objects': must have at most 2 items, not 3"),
    (SCALE, ("texture: 0.5", "texture: rough"), "'detection.data.lvis.options.texture': .*, not 'rough'"),
    (SCALE, ("side: 128", "side: 5000"), "glyphs: side is 5000, but must be between 32 and 1024"),
    (SCALE, ("batch_size: 64, lr: 3.0e-3", "batch: 64, lr: 3.0e-3"), "'detection.pretraining.batch'; .*'batch_size'"),
    (SCALE, ("{first_class: 0", "{frist_class: 0"), "'detection.pretraining.frist_class'; .*'first_class'"),
    (SCALE, ("ablation: &three", "ablatoin: &three"), "'detection.seeds' names 'ablatoin', .*closest: 'ablation'"),
    (SCALE, ("  model: small", "  model: smal"),
     "scales/smal.py is missing, which 'detection.model' of the scale names; closest: 'small'"),
    (SCALE, ("  workers: 0", "  workers: 0\n  devices: 3"), "cannot share"),
    # ----------------------------------------------------------------------------------------- tables, figures, claims
    (TABLE, table(more="tolerence: 1\n"), "unknown key 'tolerence'; .*closest: 'tolerance'"),
    ("tables/report.yaml", table(), "cannot have the name 'report', which means something else"),
    (TABLE, table("{key: accuracy.last, label: ''}"), "'columns.0.label': string should have at least 1 character"),
    (TABLE, table("{key: accuracy.last, label: x, decimals: 400}"), "'columns.0.decimals': .*less than or equal to 6"),
    (TABLE, table("{key: accuracy.last, label: x, published: top}", ROW[:-1] + ", published: {top: [1, -2]}}"),
     "'rows.0.published.top.1': .*greater than or equal to 0"),
    (TABLE, table(more="name: yours\n"), "unknown key 'name'; 'mine' is its name"),
    (TABLE, table("{key: accuracy.lats, label: x}"), "row 'a' asks for 'accuracy.lats', .*closest: 'accuracy.last'"),
    (TABLE, table("{key: tide.cls, label: x}"), "'tide.cls', which is not measured of a classifier such as 'ce'"),
    (TABLE, table(row="{id: a, label: A, recipe: mask_rcnn, measure: norcal.tunde.gamma}"),
     "closest: 'norcal.tuned.gamma'"),
    (TABLE, table(row="{id: a, label: A, recipe: ce, measure: figures.groups.cuont}"),
     "closest: 'figures.groups.count'"),
    (TABLE, table(f"{COLUMN}, {COLUMN}"), "column key 'accuracy.last' is used twice"),
    (TABLE, table("{key: accuracy.last, lable: x}"), "unknown key 'columns.0.lable'; .*closest: 'label'"),
    (TABLE, table(row="{id: '=1+1', label: A, recipe: ce}"), "'rows.0.id': string should match pattern"),
    (TABLE, table(row="{id: a, label: A, recipe: cee}"), "row 'a' names an unknown recipe 'cee'; closest: 'ce'"),
    (TABLE, table(row="{id: a, label: A, recipe: ce, baseline: b}"), "names an unknown baseline row 'b'"),
    (TABLE, table(row="{id: a, label: A, recipe: ce, published: {top: 1}}"), "has a published 'top', which no column"),
    (TABLE, table("{key: accuracy.last, label: x, published: top}", ROW[:-1] + ", published: {top: [1, 2, 3]}}"),
     "'rows.0.published.top': must have at most 2 items"),
    ("tables/cifar_lt.yaml", ("recipe: tde_fasa", "recipe: tde_fsa"), "unknown recipe 'tde_fsa'"),
    ("tables/cifar_lt.yaml", ("tolerance:", "tolerence:"), "unknown key 'tolerence'"),
    ("tables/my table.yaml", table(), "must be named by letters, digits"),
    ("figures.yaml", figure("kind: gain, series: [{label: x, recipe: ce}]"), "figure 'mine': 'kind': .*'gains'"),
    ("figures.yaml", figure("kind: gains, series: [{label: x, recipe: cee}]"),
     "an unknown recipe 'cee'; closest: 'ce'"),
    ("figures.yaml", figure("kind: gains, series: []"), "'series': must have at least 1 item, not 0"),
    ("figures.yaml", ("kind: class_counts", "knid: class_counts"), "unknown key 'knid'"),
    ("figures.yaml", figure("kind: nosuch, series: [{label: x, recipe: ce}]"), "'kind': input should be "),
    ("figures.yaml", figure("kind: gains, series: [{label: x, recipe: ce}]").replace("mine", "ablation"),
     "figure 'ablation' has the name of a table"),
    ("figures.yaml", "mine: gains\n", "figure 'mine' must be a mapping"),
    ("claims.yaml", "mine: {of: [cifar_lt], says: x, where: x, by_eye: x, of: [cifar_tl]}\n",
     "key 'of' is given twice"),
    ("claims.yaml", "mine: {of: [cifar_tl], says: x, where: x, by_eye: x}\n", "'cifar_tl', .*closest: 'cifar_lt'"),
    ("claims.yaml", claim("ldam_faza", "accuracy.last", "higher"),
     "an unknown row 'ldam_faza' of table 'cifar_lt'; closest: 'ldam_fasa'"),
    ("claims.yaml", claim("ldam", "accuracy.lats", "higher"),
     "an unknown column 'accuracy.lats' of table 'cifar_lt'; closest: 'accuracy.last'"),
    ("claims.yaml", claim("ldam", "accuracy.last", "hihger"),
     "'cells.0.expect': .*closest: 'higher'"),
    ("claims.yaml", "mine:\n", "claim 'mine' must be a mapping"),
    # -------------------------------------------------------------------------------------------------------- settings
    ("config.yaml", "scale: mimi\n", "'scale': there is no scale 'mimi'; .*closest: 'mini'"),
    ("config.yaml", "scale: mini\nsoruce: x\n", "unknown key 'soruce'; .*closest: 'source'"),
    ("config.yaml", "scale: mini\nreproduce: {first_seed: [cifar_tl]}\n", "'reproduce.first_seed' names 'cifar_tl'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with a copy of configs/."""
    folder = tmp_path_factory.mktemp("mistakes")
    shutil.copytree(ROOT / "configs", folder / "configs")
    return folder


@pytest.fixture
def mistake(root):
    """``mistake(file, said)`` makes one; it is taken back after the test."""
    kept: dict[Path, bytes | None] = {}

    def make(file, said):
        path = root / "configs" / file
        kept[path] = path.read_bytes() if path.exists() else None
        if isinstance(said, tuple):
            old, new = said
            text = path.read_text()
            assert old in text, old
            said = text.replace(old, new, 1)
        path.write_bytes(said if isinstance(said, bytes) else said.encode())

    yield make
    for path, content in kept.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


@pytest.mark.parametrize(("file", "said", "words"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_and_key(root, mistake, monkeypatch, capsys, file, said, words):
    mistake(file, said)
    monkeypatch.chdir(root)
    assert main(["plan", "--scale", "mini"]) == 2
    out, error = capsys.readouterr()
    assert not out and error.startswith("fasa: ") and error.count("\n") == 1 and len(error) < 600
    assert re.search(words, error), error
    assert Path(file).stem in error or "is missing, which" in words, error


def test_without_a_mistake_there_is_a_plan(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    assert main(["plan", "--scale", "mini", "cifar_lt"]) == 0
    assert "cifar_lt" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "said", "words"),
    [
        (RECIPE, "mine: {base: ce, backbone: resnet99}\n", "closest: 'resnet34'"),
        (SCALE, ("batch_size: 32", "batch_size: 32, batch_size: 64"), "key 'batch_size' is given twice"),
        (TABLE, table("{key: accuracy.lats, label: x}"), "closest: 'accuracy.last'"),
        ("figures.yaml", ("kind: class_counts", "knid: class_counts"), "unknown key 'knid'"),
        ("claims.yaml", "mine:\n", "claim 'mine' must be a mapping"),
        ("config.yaml", "scale: mini\nreproduce: {first_seed: [cifar_tl]}\n", "closest: 'cifar_lt'"),
    ],
)
def test_snakemake_tells_it_before_it_plans(tmp_path, file, said, words):
    for part in ("Snakefile", "workflow", "configs", "profiles"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    path = tmp_path / "configs" / file
    path.write_text(path.read_text().replace(*said, 1) if isinstance(said, tuple) else said)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("fasa: ")]
    assert words in line and Path(file).stem in line
    assert "Traceback" not in done.stdout + done.stderr
