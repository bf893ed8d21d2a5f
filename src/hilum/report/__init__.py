"""What people read: pages, tables, model cards and checklists, made from figures that are measured elsewhere."""
