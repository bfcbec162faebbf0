"""A pytest plugin with the fixtures that Tortoise ORM's tests ask for; they are not in its sdist."""

import os
from contextlib import asynccontextmanager

import pytest_asyncio
import tortoise.context
from tortoise.context import tortoise_test_context


@asynccontextmanager
async def schema():
    """A database of its own, with the tables of the tests' usual models."""
    url = os.environ["TORTOISE_TEST_DB"]
    async with tortoise_test_context(
        ["tests.testmodels"], url, app_label="models", connection_label="models"
    ) as context:
        yield context


@asynccontextmanager
async def current(context):
    """Tests and fixtures run in tasks of their own, which do not see each other's context variables."""
    token = tortoise.context._current_context.set(context)
    before, tortoise.context._global_context = tortoise.context._global_context, context
    try:
        yield context
    finally:
        tortoise.context._global_context = before
        tortoise.context._current_context.reset(token)


@pytest_asyncio.fixture(scope="module")
async def module_schema():
    async with schema() as context:
        yield context


@pytest_asyncio.fixture
async def db(module_schema):
    """What a test does is rolled back."""
    async with current(module_schema) as context:
        transaction = context.db()._in_transaction()
        await transaction.__aenter__()
        try:
            yield context
        finally:
            await transaction.__aexit__(InterruptedError, InterruptedError(), None)


@pytest_asyncio.fixture
async def db_simple(module_schema):
    """What a test does stays."""
    async with current(module_schema) as context:
        yield context


@pytest_asyncio.fixture
async def db_truncate(module_schema):
    """What a test does is deleted."""
    async with current(module_schema) as context:
        yield context
        for model in context.apps.get_models_iterable():
            await model._meta.db.execute_script(f"SET foreign_key_checks = 0; DELETE FROM `{model._meta.db_table}`")


@pytest_asyncio.fixture
async def db_isolated():
    """A schema for this test alone."""
    async with schema() as context:
        yield context
