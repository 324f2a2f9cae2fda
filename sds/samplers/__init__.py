"""sds/samplers"""
