#!/usr/bin/env bash
# ParFace-Net (FG 2024), all 2D stages of its README: 50 epochs L2 + adversarial + perceptual, 50 L1, 50 in-domain inversion
# with a frozen decoder, 2D head 100, with encoder 100, then the same on 300W-LP (3DA-2D).
# Expected: no table of the paper could be found. Perceptual loss: VGG-19 weights at [Paths] vgg19 (left out in smoke runs).
# Hardware: one GPU, days. The image GAN is a real WGAN-GP critic here; upstream ends in a sigmoid.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn celeba affectnet ffhq w300 wlp300
perceptual=(--with-perceptual-loss 1 --p-loss-features 3 8 15 22)
[ "${SMOKE:-0}" = 1 ] && perceptual=(--with-perceptual-loss 0)
common=(--dataset-train celeba affectnet --dataset-val ffhq --normalize --daug 4 --update-D-freq 1 --with-zgan 0 --activation leaky_relu)
train train_aae_unsupervised.py 50 --sessionname parface_ae "${common[@]}" --with-l1-loss 0 --with-wgan-gp 1 "${perceptual[@]}"
train train_aae_unsupervised.py 100 -r parface_ae "${common[@]}" --with-l1-loss 1 --with-wgan-gp 1
train train_aae_unsupervised.py 150 -r parface_ae "${common[@]}" --with-l1-loss 0 --with-wgan-gp 1 "${perceptual[@]}" --train-decoder 0
head=(--normalize --daug 4 --lr-heatmaps 1e-4)
train train_aae_landmarks.py 250 -r parface_ae --sessionname parface_2d --dataset w300 --test-split common "${head[@]}"
train train_aae_landmarks.py 350 -r parface_2d --dataset w300 --test-split common --train-encoder 1 "${head[@]}"
train train_aae_landmarks.py 450 -r parface_2d --sessionname parface_3da --dataset wlp300 --test-split val "${head[@]}"
train train_aae_landmarks.py 550 -r parface_3da --dataset wlp300 --test-split val --train-encoder 1 "${head[@]}"
score 'ParFace 2D stage on 300-W common' none -r parface_2d --dataset w300 --test-split common
score 'ParFace 3DA-2D stage on 300W-LP val, box norm' none -r parface_3da --dataset wlp300 --test-split val --ocular-norm bb
