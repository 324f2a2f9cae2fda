"""sds/priors"""
