#!/usr/bin/env bash
# 3FabRec (CVPR 2020), few-shot rows of AFLW: N labelled photos, the autoencoder frozen.
# Expected: the paper's table must be opened for its numbers; those known here are from memory and are not printed.
# The authors took the first N rows, one run (issue #14 of their repository): rows "first N". Ours: random N, several seeds.
# Hardware: one GPU, minutes per row, after the autoencoder (session "aae") of 3fabrec_w300.sh.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn vggface2 affectnet aflw
autoencoder
counts='1 10 50 200 1000 2000 4000'; seeds='1 2 3 4 5'
[ "${SMOKE:-0}" = 1 ] && counts='2' seeds='1'
for count in $counts; do
  for seed in first $seeds; do
    session=fewshot_aflw_${count}_$seed
    flags=(--train-count "$count")
    [ "$seed" = first ] || flags+=(--train-seed "$seed" --seed "$seed")
    train train_aae_landmarks.py 150 -r aae --sessionname "$session" --dataset aflw --test-split full  --daug 6 --repeat 20 "${flags[@]}"
    score "AFLW full, $count labels, $seed" none -r "$session" --dataset aflw --test-split full 
  done
done
