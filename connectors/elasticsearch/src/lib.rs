//! millstream-elasticsearch
