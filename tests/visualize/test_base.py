"""What every plot shares."""

from matplotlib.figure import Figure

from visualize import base


def test_a_figure_finds_its_layout_once_for_all_its_files(tmp_path, monkeypatch):
    figure = Figure(figsize=(2, 2), layout="constrained")
    axes, engine, found = figure.subplots(), figure.get_layout_engine(), []
    execute = engine.execute
    monkeypatch.setattr(engine, "execute", lambda figure: found.append(execute(figure)))
    base.save(figure, tmp_path / "a.b", ("png",), dpi=50)
    once, place = len(found), axes.get_position().bounds
    assert once and place != Figure(figsize=(2, 2)).subplots().get_position().bounds
    base.save(figure, tmp_path / "a.b", ("svg", "pdf"), dpi=50)
    assert len(found) == once and axes.get_position().bounds == place
    assert {path.name for path in tmp_path.iterdir()} == {"a.b.png", "a.b.svg", "a.b.pdf"}
