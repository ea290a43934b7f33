"""CTranslate2 as an engine: conversion of a run, the cached model, search and scoring."""
