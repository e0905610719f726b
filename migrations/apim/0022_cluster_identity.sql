-- Which cluster these databases are one's of, and who issues its tokens: a node that lost its own files,
-- or that was told no issuer, has both from here (W1, W6).
CREATE TABLE cluster_identity (
    id BIGINT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    issuer TEXT NOT NULL
);

INSERT INTO cluster_identity (id, cluster_id, issuer) VALUES (1, '', '');
