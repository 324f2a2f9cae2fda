"""sds/datasets"""
