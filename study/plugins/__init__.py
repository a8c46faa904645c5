"""Plug-ins: code outside this program that registers methods, networks, layouts, stages and other components.

A study file names files or folders (`plugins: [./my_methods.py]`), whose source travels with the study to every process
and into its record. An installed package is found by an entry point in the group `pretext_study.components`.
"""
