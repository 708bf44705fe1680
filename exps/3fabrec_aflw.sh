#!/usr/bin/env bash
# 3FabRec (CVPR 2020), AFLW table: 19 points, normalised by the face box; full and frontal.
# Expected NME full 1.84 % (paperswithcode page, sure); the frontal number is not known surely and not printed.
# Hardware: one GPU, hours, after the autoencoder of 3fabrec_w300.sh.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn vggface2 affectnet aflw
autoencoder
train train_aae_landmarks.py 100 -r aae --sessionname aflw --dataset aflw --test-split full --daug 6
train train_aae_landmarks.py 150 -r aflw --dataset aflw --test-split full --daug 6 --train-encoder 1
score 'AFLW full' '1.84 (paperswithcode)' -r aflw --dataset aflw --test-split full
score 'AFLW frontal' 'none' -r aflw --dataset aflw --test-split frontal
