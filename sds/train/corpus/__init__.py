"""sds/train/corpus"""
