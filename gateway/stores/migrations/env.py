"""What Alembic runs for a migration.

The rule here: the connection is the caller's, and so is the transaction; either all of an upgrade
is there afterwards or nothing of it.
"""

from alembic import context

from gateway.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
