#!/usr/bin/env bash
# Made the directories beside it with version 0.1.0, in a folder of its own: bash make.sh
# end_later.py ends a process by a signal at a step. Afterwards the path of the package in
# provenance.json was cut to ffn_train/__main__.py.
set -u
common="model.width=8 model.expansion=2 trainer.batch_size=16 measure.every=10 evaluate.every=10
  checkpoint.every=15 plot.when=never trainer.steps=40"
small="$common model.depth=2 task.rows=120"
train="python -m ffn_train"

$train $small run.dir=runs/default
$train $small run.dir=runs/none residual=none
$train $small run.dir=runs/identity residual=identity model.depth=4
$train $small run.dir=runs/scaled residual.power=1 optimizer=adam loss=huber
$train $small run.dir=runs/pre_norm norm=pre_layer activation=relu
$train $small run.dir=runs/post_norm norm=post_rms residual=identity
$train $small run.dir=runs/rezero residual=rezero
$train $small run.dir=runs/deepnorm residual=deepnorm norm=post_layer init=deepnorm
$train $small run.dir=runs/swiglu block=swiglu norm=pre_rms
$train $common model.depth=2 run.dir=runs/csv task=csv task.path=table.csv task.target=y
$train $common model.depth=2 run.dir=runs/several_targets task=csv task.path=table.csv 'task.target=[y,z]'
$train $small run.dir=runs/diverged residual=identity optimizer.lr=1e20 trainer.clip=null
$train $small run.dir=runs/stopped residual=identity init=normal init.inner=300 init.outer=300 \
  optimizer.lr=1e-9 trainer.patience=8
$train $small run.dir=runs/extended schedule=constant trainer.steps=20
$train $small run.dir=runs/extended schedule=constant trainer.steps=40
python end_later.py INT 1 23 $small run.dir=runs/interrupted
python end_later.py KILL 1 33 $small run.dir=runs/killed

$train -m $small trainer.steps=20 checkpoint.every=null hydra/launcher=serial sweep.dir=sweeps/finished residual=none,scaled seed=0,1
python end_later.py INT 2 12 -m $small trainer.steps=20 hydra/launcher=serial sweep.dir=sweeps/interrupted seed=0,1,2
$train -m $small trainer.steps=20 checkpoint.every=null hydra/launcher=serial sweep.dir=sweeps/search \
  sweep.search.trials=3 'optimizer.lr=tag(log,interval(0.01,1))'
python -m ffn_train.compare runs sweeps --out comparison --formats svg
