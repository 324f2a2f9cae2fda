"""sds/distillation"""
