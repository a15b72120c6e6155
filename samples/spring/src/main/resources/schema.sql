create table if not exists wishes (
  person  text        not null,
  product text        not null,
  since   timestamptz not null default now(),
  primary key (person, product)
);
