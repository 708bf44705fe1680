#!/usr/bin/env bash
# 3FabRec (CVPR 2020), WFLW table: 98 points, inter-ocular, all test subsets.
# Expected: the paper must be opened for its numbers; those known here are from memory and are not printed.
# Hardware: one GPU, hours, after the autoencoder of 3fabrec_w300.sh.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn vggface2 affectnet wflw
autoencoder
train train_aae_landmarks.py 150 -r aae --sessionname wflw --dataset wflw --test-split full --daug 6
train train_aae_landmarks.py 250 -r wflw --dataset wflw --test-split full --daug 6 --train-encoder 1
subsets='full pose expression illumination make-up occlusion blur'
[ "${SMOKE:-0}" = 1 ] && subsets='full pose'
for subset in $subsets; do
  score "WFLW $subset" none -r wflw --dataset wflw --test-split "$subset"
done
